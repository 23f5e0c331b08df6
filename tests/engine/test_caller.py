from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest
from pydantic import SecretStr

from ets_client import (
    AuthenticationError,
    ConfigurationError,
    DeadlineExceededError,
    Endpoint,
    FailureKind,
    RequestError,
    RequestRejectedError,
    RetryPolicy,
    ServerBusyError,
    ServerFaultError,
    ServerUnreachableError,
)
from ets_client._engine.address import EndpointAddress, FixedAddress
from ets_client._engine.deadline import Deadline
from ets_client._engine.outgoing import Outgoing
from ets_client._transport.base import HttpReply, HttpRequest, TransportError
from ets_client._wire.broken import BrokenReplyError
from tests.engine.tries import FOREVER, FULL, REFUSED, RESET, failure, numbered
from tests.fakes import Clock, Rig, eventually, never, reply

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes import Entry


def unreadable(body: bytes) -> bytes:
    raise BrokenReplyError("no list")


async def test_a_transport_that_cannot_begin_leaves_nothing_in_flight() -> None:
    rig = Rig()
    rig.transport.send = Mock(side_effect=ImportError("no httpx"))  # type: ignore[method-assign]
    with pytest.raises(ImportError, match="no httpx"):
        await rig.caller.call(numbered(), bytes, FOREVER)
    assert (rig.caller.counters.in_flight, rig.caller.counters.samples) == (0, 0)


async def test_a_good_reply_is_read() -> None:
    rig = Rig(reply([1]))
    assert await rig.caller.call(numbered(lane="control"), bytes, FOREVER) == b"[1]"
    (sent,) = rig.transport.requests
    assert (sent.method, sent.url, sent.body, sent.lane) == ("POST", "http://server/generate", b"{}", "control")


async def test_a_full_server_is_asked_again_with_new_request_ids() -> None:
    made: list[Outgoing] = []
    make = numbered()

    def remember() -> Outgoing:
        made.append(make())
        return made[-1]

    rig = Rig(FULL, FULL, reply())
    await rig.caller.call(remember, bytes, FOREVER)
    assert [outgoing.rids for outgoing in made] == [("t1s1",), ("t2s1",), ("t3s1",)]


async def test_waits_between_tries_are_the_policys() -> None:
    rig = Rig(*[REFUSED] * 3, reply(), policy=RetryPolicy(first_wait=1.0, most_wait=3.0), jitter=0.5)
    await rig.caller.call(numbered(), bytes, FOREVER)
    assert rig.naps.seconds == [0.5, 1.0, 1.5]


@pytest.mark.parametrize(
    ("entry", "tries", "kind"),
    [
        (FULL, 1, ServerBusyError),
        (REFUSED, 5, ServerUnreachableError),
        (RESET, 5, ServerUnreachableError),
        (reply({"message": "out of memory"}, 500), 2, ServerFaultError),
        (reply(b"Internal Server Error", 500), 1, ServerFaultError),
        (reply({"error": "bad"}, 400), 1, RequestRejectedError),
        (reply({"detail": "Not Found"}, 404), 1, RequestRejectedError),
        (reply(b"", 300), 1, RequestRejectedError),
        (reply(b"", 307), 1, RequestRejectedError),
        (reply({"error": "Unauthorized"}, 401), 1, AuthenticationError),
    ],
)
async def test_each_failure_has_its_error_and_its_number_of_tries(
    entry: HttpReply | Exception, tries: int, kind: type[RequestError]
) -> None:
    rig = Rig(*[entry] * 9, policy=RetryPolicy(patience=0))
    error = await failure(rig)
    assert type(error) is kind
    assert len(rig.transport.requests) == len(error.attempts) == tries
    assert error.rids == (f"t{tries}s1",)
    assert error.status == (entry.status if isinstance(entry, HttpReply) else None)


async def test_an_error_carries_the_servers_words_its_body_and_every_attempt() -> None:
    rig = Rig(RESET, FULL, reply({"error": "bad"}, 400))
    error = await failure(rig)
    assert error.message == "the server says: bad"
    assert error.body == '{"error": "bad"}'
    assert [(attempt.kind, attempt.status, attempt.rids) for attempt in error.attempts] == [
        (FailureKind.DISCONNECT, None, ("t1s1",)),
        (FailureKind.BUSY, 503, ("t2s1",)),
        (FailureKind.REJECTED, 400, ("t3s1",)),
    ]
    assert all(0 <= attempt.seconds < 60 for attempt in error.attempts)
    assert "3 attempts, first: disconnect: the connection to http://server/generate broke: reset" in str(error)


async def test_a_reply_that_cannot_be_read_is_asked_for_once_more() -> None:
    rig = Rig(reply(b"x" * 1000), reply(b"x" * 1000))
    with pytest.raises(ServerFaultError, match="not what SGLang sends: no list") as caught:
        await rig.caller.call(numbered(), unreadable, FOREVER)
    assert len(rig.transport.requests) == 2
    assert caught.value.body == "x" * 300


async def test_a_reply_that_may_hold_keys_is_not_quoted() -> None:
    rig = Rig(reply(b"sk-1"), reply(b"sk-1"))
    make = Outgoing("GET", "/server_info", hides_reply=True)
    with pytest.raises(ServerFaultError) as caught:
        await rig.caller.call(lambda: make, unreadable, FOREVER)
    assert "sk-1" not in str(caught.value) + caught.value.body + repr(caught.value.attempts)


async def test_a_refused_connection_says_how_to_get_a_server() -> None:
    error = await failure(Rig(REFUSED, policy=RetryPolicy(attempts=1)))
    assert "cannot connect to http://server/generate: refused. Is a server up there? `ets-server status`" in str(error)
    assert error.__cause__ is REFUSED


async def test_samples_of_a_broken_connection_are_aborted() -> None:
    rig = Rig(RESET, reply())
    await rig.caller.call(numbered(2), bytes, FOREVER)
    await rig.caller.aclose()
    assert rig.transport.aborted == ["t1s1", "t1s2"]
    assert {request.lane for request in rig.transport.aborts} == {"control"}


async def test_nothing_is_aborted_that_never_left() -> None:
    rig = Rig(REFUSED, reply())
    await rig.caller.call(numbered(2), bytes, FOREVER)
    await rig.caller.aclose()
    assert rig.transport.aborts == []


@pytest.mark.parametrize(("status", "per_try", "aborts"), [(503, 2, 2), (500, 2, 2), (503, 1, 0), (400, 2, 0)])
async def test_the_rest_of_a_batch_that_failed_in_part_is_aborted(status: int, per_try: int, aborts: int) -> None:
    rig = Rig(reply({"message": "full"}, status), policy=RetryPolicy(attempts=1))
    await failure(rig, numbered(per_try))
    await rig.caller.aclose()
    assert len(rig.transport.aborted) == aborts


async def test_cancelling_aborts_the_running_try_and_passes_at_once() -> None:
    rig = Rig(FULL, never)
    task = asyncio.create_task(rig.caller.call(numbered(3), bytes, FOREVER))
    await eventually(lambda: len(rig.transport.requests) == 2)
    await eventually(lambda: len(rig.transport.aborts) == 3)  # of the try that found the server full
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await rig.caller.aclose()
    assert rig.transport.aborted[3:] == ["t2s1", "t2s2", "t2s3"]


async def test_cancelling_a_call_without_samples_aborts_nothing() -> None:
    rig = Rig(never)
    task = asyncio.create_task(rig.caller.call(lambda: Outgoing("GET", "/x"), bytes, FOREVER))
    await eventually(lambda: len(rig.transport.requests) == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await rig.caller.aclose()
    assert rig.transport.aborts == []


async def test_a_deadline_ends_the_running_try_and_tells_of_every_attempt() -> None:
    rig, clock = Rig(FULL, never), Clock()
    task = asyncio.create_task(rig.caller.call(numbered(2), bytes, Deadline.after(60)))
    await clock.jump(60, when=lambda: len(rig.transport.requests) == 2)
    with pytest.raises(DeadlineExceededError, match="no answer within 60 s") as caught:
        await task
    await rig.caller.aclose()
    error = caught.value
    assert [attempt.kind for attempt in error.attempts] == [FailureKind.BUSY, FailureKind.GIVEN_UP]
    assert error.rids == ("t2s1", "t2s2")
    assert rig.transport.aborted[-2:] == ["t2s1", "t2s2"]


async def test_a_deadline_ends_the_wait_between_tries() -> None:
    rig, clock = Rig(FULL), Clock()
    rig.naps.end = asyncio.Event()
    task = asyncio.create_task(rig.caller.call(numbered(), bytes, Deadline.after(60)))
    await clock.jump(60, when=lambda: len(rig.naps.seconds) == 1)
    with pytest.raises(DeadlineExceededError) as caught:
        await task
    assert (caught.value.status, caught.value.rids) == (503, ("t1s1",))


async def test_an_abort_goes_where_its_samples_went(tmp_path: Path) -> None:
    path = tmp_path / "e.json"
    Endpoint(host="old", port=1, model="m", start_id="1", api_key=SecretStr("k1")).write(path)
    rig = Rig(RESET, reply(), address=EndpointAddress(path, None))
    Endpoint(host="new", port=2, model="m", start_id="2", api_key=SecretStr("k2")).write(path)
    await rig.caller.call(numbered(), bytes, FOREVER)
    await rig.caller.aclose()
    assert [request.url for request in rig.transport.requests] == ["http://old:1/generate", "http://new:2/generate"]
    (abort,) = rig.transport.aborts
    assert (abort.url, abort.headers["Authorization"]) == ("http://old:1/abort_request", "Bearer k1")


async def test_cancelling_while_the_address_is_looked_up_still_aborts() -> None:
    class Slow(FixedAddress):
        async def refresh(self) -> None:
            await asyncio.Event().wait()

    rig = Rig(RESET, address=Slow("http://server", None))
    task = asyncio.create_task(rig.caller.call(numbered(), bytes, FOREVER))
    await eventually(lambda: len(rig.transport.aborts) == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await rig.caller.aclose()
    assert set(rig.transport.aborted) == {"t1s1"}


@pytest.mark.parametrize("script", [[RESET, RESET], [never]])
async def test_a_sample_is_sent_again_only_after_its_abort_got_through(
    script: list[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ets_client._engine.aborter.ABORT_SECONDS", 0.01)
    rig = Rig(RESET, reply(), has_answered=True)
    rig.transport.abort_script = list(script)
    await rig.caller.call(numbered(), bytes, FOREVER)
    assert rig.transport.aborted == ["t1s1"] * (len(script) + 1)
    assert rig.transport.probes == 2  # after the broken connection, and after the abort that failed


async def test_a_server_that_takes_no_aborts_is_given_up_on_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(RESET, reply(), has_answered=True)
    rig.transport.abort_script = [RESET] * 12
    await rig.caller.call(numbered(2), bytes, FOREVER)
    assert len(rig.transport.aborts) == 12
    assert "2 samples on http://server may run beside their resend" in caplog.text


async def test_an_abort_that_finds_no_server_is_done() -> None:
    rig = Rig(RESET, reply(), has_answered=True)
    rig.transport.abort_script = [REFUSED]
    await rig.caller.call(numbered(), bytes, FOREVER)
    assert len(rig.transport.aborts) == 1


async def test_a_closed_caller_takes_no_calls() -> None:
    rig = Rig()
    await rig.caller.aclose()
    with pytest.raises(ConfigurationError, match="closed"):
        await rig.caller.call(numbered(), bytes, FOREVER)


async def test_closing_ends_the_calls_that_run_and_stops_their_samples() -> None:
    rig = Rig(never, never)
    tasks = [asyncio.create_task(rig.caller.call(numbered(), bytes, FOREVER)) for _ in range(2)]
    await eventually(lambda: len(rig.transport.requests) == 2)
    await rig.caller.aclose()
    await asyncio.wait(tasks)
    for task in tasks:
        assert isinstance(task.exception(), ConfigurationError)
    assert rig.transport.aborted == ["t1s1", "t1s1"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_closing_ends_the_calls_that_wait_and_stops_what_they_left_running() -> None:
    rig = Rig(RESET, has_answered=True)
    rig.naps.end = asyncio.Event()
    rig.transport.abort_script = [RESET] * 2
    task = asyncio.create_task(rig.caller.call(numbered(), bytes, FOREVER))
    await eventually(lambda: bool(rig.naps.seconds))
    await rig.caller.aclose()
    rig.naps.end.set()
    await asyncio.wait([task])
    assert isinstance(task.exception(), ConfigurationError)
    assert rig.transport.aborted[-1] == "t1s1"
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_closing_when_the_time_of_a_waiting_call_is_just_over_lets_it_end_by_itself() -> None:
    rig, clock = Rig(reply({"message": "broken"}, 500), has_answered=True), Clock()
    rig.naps.end = asyncio.Event()
    task = asyncio.create_task(rig.caller.call(numbered(), bytes, Deadline.after(1)))
    await clock.jump(2, when=lambda: bool(rig.naps.seconds))
    for _ in range(2):  # now its timeout has expired, and the task does not know of it yet
        await asyncio.sleep(0)
    await rig.caller.aclose()
    with pytest.raises(ConfigurationError, match="closed"):
        await task


async def test_what_did_not_go_out_is_not_aborted() -> None:
    rig = Rig()

    async def queue(request: HttpRequest) -> HttpReply:
        rig.transport.requests.append(request)
        return await never(request)

    rig.transport.send = queue  # type: ignore[method-assign]
    task = asyncio.create_task(rig.caller.call(numbered(), bytes, FOREVER))
    await eventually(lambda: len(rig.transport.requests) == 1)
    task.cancel()
    await asyncio.wait([task])
    await rig.caller.aclose()
    assert rig.transport.aborts == []


async def test_the_wait_for_a_connection_is_no_part_of_an_attempts_time() -> None:
    rig, clock = Rig(), Clock()
    room = asyncio.Event()

    async def queue(request: HttpRequest) -> HttpReply:
        rig.transport.requests.append(request)
        await room.wait()
        assert request.on_sent is not None
        request.on_sent()
        return reply()

    rig.transport.send = queue  # type: ignore[method-assign]
    task = asyncio.create_task(rig.caller.call(numbered(), bytes, FOREVER))
    await clock.jump(10_000, when=lambda: len(rig.transport.requests) == 1)
    await eventually(lambda: rig.server.counters.in_flight == 1)
    room.set()
    assert await task == b"null"
    assert len(rig.transport.requests) == 1


async def test_a_reply_that_cannot_be_used_is_sent_for_once_more() -> None:
    unusable = TransportError("too large", was_sent=True, was_answered=True)
    rig = Rig(unusable, unusable, has_answered=True)
    with pytest.raises(ServerFaultError, match="too large"):
        await rig.caller.call(numbered(), bytes, FOREVER)
    await rig.caller.aclose()
    assert (rig.transport.aborted, rig.transport.probes) == (["t1s1", "t2s1"], 0)


async def test_the_key_is_sent_in_the_header_and_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(FULL, reply(), address=FixedAddress("http://server", SecretStr("sk-1")))
    with caplog.at_level(logging.DEBUG):
        await rig.caller.call(numbered(), bytes, FOREVER)
    assert [request.headers["Authorization"] for request in rig.transport.requests] == ["Bearer sk-1"] * 2
    assert "attempt 1 of /generate failed: busy" in caplog.text
    assert "sk-1" not in caplog.text


async def test_without_a_key_there_is_no_such_header() -> None:
    rig = Rig(reply())
    await rig.caller.call(numbered(), bytes, FOREVER)
    assert "Authorization" not in rig.transport.requests[0].headers


async def test_an_exception_nobody_expects_passes_unchanged() -> None:
    async def broken(request: HttpRequest) -> HttpReply:
        raise ZeroDivisionError

    rig = Rig(broken)
    with pytest.raises(ZeroDivisionError):
        await rig.caller.call(numbered(), bytes, FOREVER)
