from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from ets_client import (
    ConfigurationError,
    DeadlineExceededError,
    RequestError,
    RequestRejectedError,
    ServerBusyError,
    ServerFaultError,
    ServerState,
    ServerUnreachableError,
    Usage,
)
from ets_client._engine.deadline import Deadline
from ets_client._engine.outgoing import Outgoing
from ets_client._engine.streaming import SampleStream
from ets_client._transport.base import TransportError
from tests.fakes import Clock, FakeStream, Rig, events, eventually, never, reply, root, sample

if TYPE_CHECKING:
    from ets_client._transport.base import HttpReply, HttpRequest
    from ets_client._wire.stream import StreamedPart
    from tests.fakes import Entry

FOREVER = Deadline(None, 0.0)
RIDS = ("a", "b", "c")
OUTGOING = Outgoing("POST", "/generate", b"{}", RIDS)
FULL = reply({"message": "queue is full"}, 503)
RESET = TransportError("reset", was_sent=True)


def part(index: int, ids: tuple[int, ...] = (97,), finish: Any = None) -> dict[str, Any]:
    body = sample(RIDS[index], ids, {"type": "length", "length": len(ids)} if finish is None else finish)
    return body | {"index": index}


def growing(index: int, ids: tuple[int, ...] = (97,)) -> dict[str, Any]:
    body = part(index, ids)
    body["meta_info"]["finish_reason"] = None
    return body


def abort(index: int, status: int) -> dict[str, Any]:
    return part(index, (), {"type": "abort", "message": "no room", "status_code": status})


ENDS = [part(index) for index in range(3)]


async def opened(
    *pieces: bytes | asyncio.Event | Exception, deadline: Deadline = FOREVER, is_incremental: bool = False
) -> tuple[SampleStream, Rig, FakeStream]:
    rig, reply_stream = Rig(), FakeStream(*pieces)
    rig.transport.stream_script = [reply_stream]
    call = await rig.caller.open(lambda: OUTGOING, deadline)
    sent = rig.cache.send_batch(root([1, 2, 3]), len(RIDS))
    stream = SampleStream(rig.caller, call, deadline, is_incremental=is_incremental, sent=sent, warmed=Usage())
    return stream, rig, reply_stream


async def all_of(stream: SampleStream) -> list[StreamedPart]:
    found: list[StreamedPart] = []
    while (each := await stream.part()) is not None:
        found.append(each)
    return found


class TestEnded:
    async def test_what_ended_in_one_piece_is_told_together(self) -> None:
        stream, _, _ = await opened(events(growing(1), part(0), part(2), is_done=False), events(part(1)))
        assert [[each.index for each in await stream.ended()] for _ in range(3)] == [[0, 2], [1], []]

    async def test_what_ended_before_a_failure_is_told_before_it(self) -> None:
        stream, _, _ = await opened(events(part(0), abort(1, 503), part(2)))
        assert [each.index for each in await stream.ended()] == [0]
        with pytest.raises(ServerBusyError) as caught:
            await stream.ended()
        assert caught.value.rids == ("b",)
        assert [each.index for each in await stream.ended()] == [2]
        assert await stream.ended() == []

    async def test_a_failure_before_the_first_is_raised_at_once(self) -> None:
        stream, _, _ = await opened(events(abort(1, 503), part(0), part(2)))
        with pytest.raises(ServerBusyError):
            await stream.ended()
        assert [each.index for each in await stream.ended()] == [0, 2]

    async def test_of_a_closed_stream_nothing_more_is_told(self) -> None:
        stream, _, _ = await opened(events(part(0), is_done=False), asyncio.Event())
        assert [each.index for each in await stream.ended()] == [0]
        await stream.aclose()
        with pytest.raises(ConfigurationError, match="left before its end"):
            await stream.ended()

    async def test_what_comes_while_the_stream_is_closed_is_nobodys(self) -> None:
        arriving = asyncio.Event()
        stream, rig, _ = await opened(arriving, events(*ENDS))
        ended: list[int] = []
        stream.on_sample = ended.append
        reading = asyncio.create_task(stream.ended())
        await asyncio.sleep(0)
        arriving.set()
        await stream.aclose()
        with pytest.raises(ConfigurationError, match="left before its end"):
            await reading
        assert not ended
        assert rig.server.counters.samples == 0


class TestSamples:
    async def test_each_that_ends_is_told_with_its_tokens_and_counts_no_more(self) -> None:
        stream, rig, _ = await opened(events(part(1, (97, 98)), abort(0, 503), part(2)))
        ended: list[int] = []
        stream.on_sample = ended.append
        counts = [rig.server.counters.samples]
        assert [each.index for each in await stream.ended()] == [1]
        counts.append(rig.server.counters.samples)
        with pytest.raises(ServerBusyError):
            await stream.ended()
        counts.append(rig.server.counters.samples)
        await stream.aclose()
        assert (ended, [*counts, rig.server.counters.samples]) == ([2, 0], [3, 1, 1, 0])


class TestParts:
    @pytest.mark.parametrize("size", [1, 7, 100_000])
    async def test_parts_come_in_order_however_the_bytes_are_cut(self, size: int) -> None:
        whole = events(growing(1), *ENDS)
        stream, _, _ = await opened(*(whole[at : at + size] for at in range(0, len(whole), size)))
        found = await all_of(stream)
        assert [(each.index, each.text, each.sample is None) for each in found] == [
            (1, "a", True),
            (0, "a", False),
            (1, "", False),
            (2, "a", False),
        ]
        assert await stream.part() is None

    async def test_the_servers_way_to_stream_is_heeded(self) -> None:
        stream, _, _ = await opened(events(growing(1), *ENDS), is_incremental=True)
        assert [each.text for each in await all_of(stream)] == ["a"] * 4

    async def test_a_stream_that_ends_too_soon_is_a_lost_server(self) -> None:
        stream, rig, _ = await opened(events(part(0)))
        with pytest.raises(ServerUnreachableError, match="2 of its 3 samples have no end") as caught:
            await all_of(stream)
        assert caught.value.rids == RIDS
        assert rig.server.gate.state is ServerState.DOWN

    async def test_a_connection_that_breaks_is_a_lost_server(self) -> None:
        stream, rig, _ = await opened(events(part(0), is_done=False), RESET)
        assert await stream.part() is not None
        with pytest.raises(ServerUnreachableError, match="in the middle of a stream: reset") as caught:
            await stream.part()
        assert caught.value.__cause__ is RESET
        assert rig.server.gate.state is ServerState.DOWN

    @pytest.mark.parametrize(
        ("frame", "kind", "status", "rids"),
        [
            ({"error": {"message": "no room", "code": 400}}, RequestRejectedError, 400, RIDS),
            ({"error": {"message": "no room", "code": 503}}, ServerBusyError, 503, RIDS),
            ({"error": "no room"}, ServerFaultError, 500, RIDS),
            (abort(1, 400), RequestRejectedError, 400, ("b",)),
            (abort(1, 503), ServerBusyError, 503, ("b",)),
            (abort(1, 500), ServerFaultError, 500, ("b",)),
        ],
    )
    async def test_a_failure_inside_the_stream_is_the_error_it_would_be_without(
        self, frame: Any, kind: type[RequestError], status: int, rids: tuple[str, ...]
    ) -> None:
        stream, rig, _ = await opened(events(frame))
        with pytest.raises(RequestError) as caught:
            await stream.part()
        error = caught.value
        assert type(error) is kind
        assert (error.message, error.status, error.rids) == ("the server says: no room", status, rids)
        assert rig.losses == 0

    async def test_the_others_go_on_after_one_sample_failed(self) -> None:
        stream, rig, _ = await opened(events(abort(1, 503), part(0), part(2)))
        with pytest.raises(ServerBusyError):
            await stream.part()
        assert [each.index for each in await all_of(stream)] == [0, 2]
        await stream.aclose()
        assert rig.transport.aborts == []

    async def test_something_else_is_quoted_in_part(self) -> None:
        stream, _, _ = await opened(events(b"x" * 1000))
        with pytest.raises(ServerFaultError, match="the stream is not what SGLang sends: a chunk: ") as caught:
            await stream.part()
        assert (caught.value.body, caught.value.rids) == ("x" * 300, RIDS)

    async def test_the_deadline_ends_the_wait_for_the_next_part(self) -> None:
        clock = Clock()
        stream, rig, reply_stream = await opened(events(part(0)), asyncio.Event(), deadline=Deadline.after(60))
        assert await stream.part() is not None
        waiting = asyncio.create_task(stream.part())
        await clock.jump(60, when=lambda: reply_stream.is_awaited)
        with pytest.raises(DeadlineExceededError, match="the stream did not end within 60 s") as caught:
            await waiting
        assert caught.value.rids == RIDS
        await stream.aclose()
        await rig.caller.aclose()
        assert rig.transport.aborted == ["b", "c"]

    async def test_a_silence_much_longer_than_it_should_be_is_a_lost_server(self) -> None:
        clock = Clock()
        silence = asyncio.Event()
        stream, rig, reply_stream = await opened(events(part(0), is_done=False), silence, events(part(1), part(2)))
        assert await stream.part() is not None
        waiting = asyncio.create_task(stream.part())
        await clock.jump(3600, when=lambda: reply_stream.is_awaited)
        with pytest.raises(ServerUnreachableError, match=r"nothing came for .* s, much longer") as caught:
            await waiting
        assert caught.value.rids == RIDS
        assert rig.server.gate.state is ServerState.DOWN
        assert not reply_stream.is_closed
        silence.set()  # what comes after all is not lost
        assert [each.index for each in await all_of(stream)] == [1, 2]

    async def test_after_the_deadline_nothing_is_waited_for(self) -> None:
        clock = Clock()
        stream, _, reply_stream = await opened(
            events(part(0), is_done=False), events(part(1), part(2)), deadline=Deadline.after(60)
        )
        assert await stream.part() is not None
        await clock.jump(60, when=lambda: True)
        with pytest.raises(DeadlineExceededError, match="the stream did not end within 60 s"):
            await stream.part()
        assert reply_stream.read == 1

    async def test_parts_need_no_tasks(self) -> None:
        before = asyncio.all_tasks()
        stream, _, reply_stream = await opened(events(part(0), is_done=False), asyncio.Event())
        assert await stream.part() is not None
        waiting = asyncio.create_task(stream.part())
        await eventually(lambda: reply_stream.is_awaited)
        assert asyncio.all_tasks() - before == {waiting}
        waiting.cancel()

    async def test_cancelling_loses_nothing_and_leaves_the_connection_open(self) -> None:
        held = asyncio.Event()
        stream, _, reply_stream = await opened(events(part(0), is_done=False), held, events(part(1), part(2)))
        assert await stream.part() is not None
        waiting = asyncio.create_task(stream.part())
        await eventually(lambda: reply_stream.is_awaited)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        assert not reply_stream.is_closed
        held.set()
        assert [each.index for each in await all_of(stream)] == [1, 2]


class TestClose:
    async def test_what_has_not_ended_is_aborted_before_the_connection_closes(self) -> None:
        stream, rig, reply_stream = await opened(events(part(1), growing(0)), asyncio.Event())
        were_open: list[bool] = []

        async def look(request: HttpRequest) -> HttpReply:
            were_open.append(not reply_stream.is_closed)
            return reply()

        rig.transport.abort_script = [look, look]
        assert await stream.part() is not None
        await stream.aclose()
        await eventually(lambda: reply_stream.is_closed)
        assert rig.transport.aborted == ["a", "c"]
        assert were_open == [True, True]

    async def test_a_reading_that_was_given_up_is_ended(self) -> None:
        before = asyncio.all_tasks()
        stream, rig, reply_stream = await opened(asyncio.Event())
        waiting = asyncio.create_task(stream.part())
        await eventually(lambda: reply_stream.is_awaited)
        waiting.cancel()
        await asyncio.wait([waiting])
        await stream.aclose()
        await rig.caller.aclose()
        assert reply_stream.is_closed
        assert asyncio.all_tasks() == before

    @pytest.mark.parametrize("entry", [RESET, FULL, never])
    async def test_an_abort_that_fails_or_hangs_leaves_no_connection(
        self, entry: Entry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ets_client._engine.aborter.ABORT_SECONDS", 0.01)
        stream, rig, reply_stream = await opened(events())
        rig.transport.abort_script = [entry] * 3
        await stream.aclose()
        await rig.caller.aclose()
        assert reply_stream.is_closed

    async def test_after_the_last_end_the_stream_is_read_out_and_nothing_is_aborted(self) -> None:
        pieces = [bytes([byte]) for byte in events(*ENDS)]
        stream, rig, reply_stream = await opened(*pieces)
        await all_of(stream)
        assert reply_stream.read < len(pieces)
        await stream.aclose()
        assert reply_stream.is_closed
        assert reply_stream.read == len(pieces)
        assert rig.transport.aborts == []

    @pytest.mark.parametrize("rest", [asyncio.Event(), RESET])
    async def test_an_end_that_does_not_come_is_not_waited_for(
        self, rest: asyncio.Event | Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ets_client._engine.open_call._END_SECONDS", 0.01)
        stream, rig, reply_stream = await opened(events(*ENDS), rest)
        await all_of(stream)
        async with asyncio.timeout(5):
            await stream.aclose()
        assert reply_stream.is_closed
        assert rig.losses == 0

    async def test_closing_twice_aborts_once(self) -> None:
        stream, rig, _ = await opened(events())
        await stream.aclose()
        await stream.aclose()
        await rig.caller.aclose()
        assert rig.transport.aborted == list(RIDS)

    async def test_a_stream_that_was_left_gives_nothing_more(self) -> None:
        stream, rig, _ = await opened(events(*ENDS))
        assert await stream.part() is not None
        await stream.aclose()
        with pytest.raises(ConfigurationError, match="begin a new one"):
            await stream.part()
        assert rig.losses == 0

    async def test_a_caller_that_closes_ends_its_streams(self) -> None:
        stream, rig, reply_stream = await opened(events(part(1)), asyncio.Event())
        assert await stream.part() is not None
        await rig.caller.aclose()
        assert rig.transport.aborted == ["a", "c"]
        assert reply_stream.is_closed
        await stream.aclose()
        assert len(rig.transport.aborts) == 2

    async def test_ends_that_do_not_come_are_not_waited_for_one_after_the_other_when_the_caller_closes(self) -> None:
        clock = Clock()
        first, rig, _ = await opened(events(*ENDS), asyncio.Event())
        held = FakeStream(events(*ENDS), asyncio.Event())
        rig.transport.stream_script = [held]
        call = await rig.caller.open(lambda: OUTGOING, FOREVER)
        sent = rig.cache.send_batch(root([1, 2, 3]), len(RIDS))
        second = SampleStream(rig.caller, call, FOREVER, is_incremental=False, sent=sent, warmed=Usage())
        for stream in (first, second):
            await all_of(stream)
        closing = asyncio.create_task(rig.caller.aclose())
        await clock.jump(1, when=lambda: all(each.is_awaited for each in rig.transport.streams))
        await closing
        assert all(each.is_closed for each in rig.transport.streams)


class TestOpen:
    async def test_a_full_server_is_asked_again_until_a_stream_begins(self) -> None:
        rig = Rig(FULL, FULL, reply(events(*ENDS)))
        call = await rig.caller.open(lambda: OUTGOING, FOREVER)
        sent = rig.cache.send_batch(root([1, 2, 3]), len(RIDS))
        stream = SampleStream(rig.caller, call, FOREVER, is_incremental=False, sent=sent, warmed=Usage())
        assert len(await all_of(stream)) == 3
        refused = rig.transport.streams[:2]
        assert all(each.is_closed and each.read == len(each.pieces) for each in refused)

    async def test_a_refusal_carries_the_servers_words(self) -> None:
        rig = Rig(reply({"error": "unknown field"}, 400))
        with pytest.raises(RequestRejectedError, match="the server says: unknown field") as caught:
            await rig.caller.open(lambda: OUTGOING, FOREVER)
        assert (caught.value.status, caught.value.body) == (400, '{"error": "unknown field"}')

    async def test_a_refusal_that_breaks_off_is_known_by_its_status(self) -> None:
        rig, broken = Rig(), FakeStream(b'{"err', RESET, status=401)
        rig.transport.stream_script = [broken]
        with pytest.raises(RequestError, match="no explanation") as caught:
            await rig.caller.open(lambda: OUTGOING, FOREVER)
        assert caught.value.status == 401
        assert broken.is_closed

    async def test_cancelling_before_it_begins_aborts_its_samples(self) -> None:
        rig = Rig(never)
        opening = asyncio.create_task(rig.caller.open(lambda: OUTGOING, FOREVER))
        await eventually(lambda: len(rig.transport.requests) == 1)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await rig.caller.aclose()
        assert rig.transport.aborted == list(RIDS)

    async def test_a_stream_that_begins_while_it_is_given_up_is_closed(self) -> None:
        rig, held = Rig(), asyncio.Event()

        async def late(request: HttpRequest) -> HttpReply:
            await held.wait()
            opening.cancel()
            return reply(events())

        rig.transport.script = [late]
        opening = asyncio.create_task(rig.caller.open(lambda: OUTGOING, FOREVER))
        await eventually(lambda: len(rig.transport.requests) == 1)
        held.set()
        await asyncio.wait([opening])
        assert opening.cancelled()
        await rig.caller.aclose()
        assert rig.transport.aborted == list(RIDS)
        (begun,) = rig.transport.streams
        assert begun.is_closed

    async def test_closing_the_caller_while_a_stream_is_opened_stops_its_samples_and_leaves_no_task(self) -> None:
        rig, before = Rig(never), asyncio.all_tasks()
        opening = asyncio.create_task(rig.caller.open(lambda: OUTGOING, FOREVER))
        await eventually(lambda: len(rig.transport.requests) == 1)
        await rig.caller.aclose()
        await asyncio.wait([opening])
        assert isinstance(opening.exception(), ConfigurationError)
        assert asyncio.all_tasks() == before
        assert rig.transport.aborted == list(OUTGOING.rids)

    async def test_a_deadline_ends_the_wait_for_its_beginning(self) -> None:
        rig, clock = Rig(never), Clock()
        opening = asyncio.create_task(rig.caller.open(lambda: OUTGOING, Deadline.after(60)))
        await clock.jump(60, when=lambda: len(rig.transport.requests) == 1)
        with pytest.raises(DeadlineExceededError, match="no answer within 60 s") as caught:
            await opening
        assert caught.value.rids == RIDS

    async def test_a_closed_caller_opens_nothing(self) -> None:
        rig = Rig()
        await rig.caller.aclose()
        with pytest.raises(ConfigurationError, match="closed"):
            await rig.caller.open(lambda: OUTGOING, FOREVER)
