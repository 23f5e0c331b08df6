from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from ets_client import (
    AsyncPolicyClient,
    Branch,
    BranchStream,
    ConfigurationError,
    DeadlineExceededError,
    EndReason,
    InvalidRequestError,
    RequestError,
    RequestRejectedError,
    RetryPolicy,
    SamplingParams,
    ServerBusyError,
    ServerFaultError,
    ServerUnreachableError,
)
from ets_client.testing import (
    Costs,
    FakeOptions,
    FakeServer,
    FaultPlan,
    Garbage,
    QueueFull,
    Reset,
    ServerError,
    Version,
    VirtualClock,
)
from tests.fakes import Clock, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Generator

    from ets_client.testing import TextModel

QUICK = RetryPolicy(first_wait=0, most_wait=0)
ENDLESS = SamplingParams(max_new_tokens=1500, ignore_eos=True, stop="never")
VERSIONS: list[Version] = ["0.5.14", "0.5.18", "0.5.23"]


class Site:
    """A server whose time stands still while it generates, and a client of it."""

    def __init__(self, server: FakeServer, client: AsyncPolicyClient, clock: VirtualClock) -> None:
        self.server = server
        self.client = client
        self.clock = clock

    @property
    def aborts(self) -> int:
        return self.server.count("/abort_request")

    async def settled(self) -> None:
        """Nothing runs there any more, and nobody reads from it."""
        await self.clock.advance(1)
        assert self.server.scheduler.is_idle
        assert self.server.registered_rids == frozenset()


@asynccontextmanager
async def site(
    faults: FaultPlan | None = None,
    *,
    model: TextModel | None = None,
    admission: int | None = None,
    **options: Any,
) -> AsyncIterator[Site]:
    clock, costs = VirtualClock(), Costs(decode_step=0.5)
    async with FakeServer(FakeOptions(**options), model=model, clock=clock, costs=costs, faults=faults) as server:
        before = asyncio.all_tasks()
        async with AsyncPolicyClient(server.base_url, "tiny", retry=QUICK, admission=admission) as client:
            yield Site(server, client, clock)
        await eventually(lambda: server.open_connections == 0)
        await eventually(lambda: asyncio.all_tasks() == before)


async def cancelled_at(place: int, work: Coroutine[Any, Any, int]) -> int:
    """Run the work, and cancel its task when it waits for the so-many-th time."""

    class Watch:
        def __await__(self) -> Generator[Any, Any, int]:
            waits, resume = 0, partial(work.send, None)
            while True:
                try:
                    waited = resume()
                except StopIteration as end:
                    result: int = end.value
                    return result
                waits += 1
                task = asyncio.current_task()
                if waits == place and task is not None:
                    task.cancel()
                try:
                    yield waited
                    resume = partial(work.send, None)
                except BaseException as error:  # noqa: BLE001 - as the loop gives it
                    resume = partial(work.throw, error)

    return await Watch()


async def all_of(branches: BranchStream) -> list[Branch]:
    return [branch async for branch in branches]


def facts(branch: Branch) -> tuple[object, ...]:
    logprobs = None if branch.logprobs is None else branch.logprobs.values
    return branch.text, branch.token_ids, branch.end, branch.matched, branch.overshoot, branch.prefix, logprobs


class TestExpandIter:
    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize("increments", [False, True])
    @pytest.mark.parametrize("stop", ["\n\n", "e", ("a", "th"), "never"])
    async def test_it_gives_the_branches_of_an_expand(self, version: Version, stop: Any, *, increments: bool) -> None:
        async with (
            FakeServer(
                FakeOptions(
                    version=version, incremental_streaming_output=increments, enable_deterministic_inference=True
                )
            ) as server,
            AsyncPolicyClient(server.base_url, "tiny") as client,
        ):
            root = await client.prefix("Some are short and some are long.")
            sampling = SamplingParams(max_new_tokens=24, stop=stop, seed=7)
            whole = await client.expand(root, 8, sampling, logprobs=True)
            async with client.expand_iter(root, 8, sampling, logprobs=True) as branches:
                found = await all_of(branches)
                rids = branches.rids
        lengths = [len(branch.token_ids) for branch in found]
        assert lengths == sorted(lengths)
        assert sorted(branch.rid for branch in found) == sorted(rids)
        in_order = sorted(found, key=lambda branch: rids.index(branch.rid))
        assert [facts(branch) for branch in in_order] == [facts(branch) for branch in whole]
        assert {branch.usage.computed_tokens for branch in found} == {1}

    async def test_a_cold_prefix_is_computed_once_before_it(self) -> None:
        async with FakeServer() as server, AsyncPolicyClient(server.base_url, "tiny") as client:
            root = await client.prefix("Cold.")
            found = await all_of(client.expand_iter(root, 4))
            assert server.count("/generate") == 2
            assert [branch.usage.computed_tokens for branch in found] == [1] * 4
            await client.expand(found[0], 2)
            assert server.count("/generate") == 3

    async def test_it_can_be_iterated_without_being_entered(self) -> None:
        async with site() as here:
            branches = here.client.expand_iter("q", 3, SamplingParams(max_new_tokens=4, ignore_eos=True))
            assert len(await here.clock.run(all_of(branches))) == 3
            await here.settled()
            assert here.aborts == 0

    async def test_streams_that_end_share_a_connection(self) -> None:
        async with FakeServer() as server, AsyncPolicyClient(server.base_url, "tiny") as client:
            root = await client.prefix("q")
            await client.expand(root, 2)
            before = server.connections
            for _ in range(3):
                assert len(await all_of(client.expand_iter(root, 2))) == 2
                async with client.stream(root) as stream:
                    assert [delta async for delta in stream]
            assert server.connections == before

    async def test_leaving_early_aborts_exactly_what_has_not_ended(self) -> None:
        async with site() as here:
            async with here.client.expand_iter("q", 4, ENDLESS) as branches:
                await here.client.abort(branches.rids[1])
                iterator = aiter(branches)
                assert (await here.clock.run(anext(iterator))).rid == branches.rids[1]
            await eventually(lambda: here.aborts == 4)
            await here.settled()
            assert here.aborts == 1 + 3

    async def test_leaving_at_the_end_aborts_nothing(self) -> None:
        async with site() as here:
            async with here.client.expand_iter("q", 4, SamplingParams(max_new_tokens=3)) as branches:
                assert len(await here.clock.run(all_of(branches))) == 4
            await here.settled()
            assert here.aborts == 0

    async def test_leaving_at_once_aborts_everything(self) -> None:
        async with site() as here:
            async with here.client.expand_iter("q", 4, ENDLESS):
                pass
            await eventually(lambda: here.aborts == 4)
            await here.settled()

    async def test_a_break_may_be_followed_by_the_rest(self) -> None:
        async with site() as here:
            async with here.client.expand_iter("q", 5, SamplingParams(max_new_tokens=3)) as branches:
                rids: list[str] = []

                async def some(most: int) -> None:
                    async for branch in branches:
                        rids.append(branch.rid)
                        if len(rids) == most:
                            break

                for most in (1, 3, 99):
                    await here.clock.run(some(most))
                assert sorted(rids) == sorted(branches.rids)
            assert here.aborts == 0

    async def test_a_break_without_entering_stops_the_others(self) -> None:
        async with site() as here:

            async def first() -> Branch | None:
                async for branch in here.client.expand_iter("q", 4, ENDLESS):
                    return branch
                return None

            task = asyncio.create_task(first())
            await eventually(lambda: len(here.server.scheduler.running) == 4)
            await here.client.abort(here.server.scheduler.running[0].rid)
            branch = await here.clock.run(task)
            assert branch is not None
            await eventually(lambda: here.aborts == 4)
            await here.settled()

    async def test_some_aborted_ones_come_back_and_the_others_finish(self) -> None:
        async with site() as here:
            sampling = SamplingParams(max_new_tokens=6, ignore_eos=True, stop="never")
            async with here.client.expand_iter("q", 6, sampling) as branches:
                doomed = set(branches.rids[::2])
                await here.client.abort(*doomed)
                found = await here.clock.run(all_of(branches))
            assert {branch.rid for branch in found if branch.end is EndReason.ABORTED} == doomed
            assert {branch.rid for branch in found} == set(branches.rids)


class TestStream:
    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize("increments", [False, True])
    @pytest.mark.parametrize("stop", [None, "e", ("a", "th")])
    async def test_its_deltas_add_up_to_its_branch_and_that_is_generates(
        self, version: Version, stop: Any, *, increments: bool
    ) -> None:
        async with (
            FakeServer(FakeOptions(version=version, incremental_streaming_output=increments)) as server,
            AsyncPolicyClient(server.base_url, "tiny") as client,
        ):
            root = await client.prefix("Write on.")
            sampling = SamplingParams(max_new_tokens=24, temperature=0.0, stop=stop)
            async with client.stream(root, sampling, logprobs=True) as stream:
                deltas = [delta async for delta in stream]
            whole = await client.generate(root, sampling, logprobs=True)
        assert facts(stream.branch) == facts(whole)
        assert tuple(token for delta in deltas for token in delta.token_ids) == whole.token_ids
        text = "".join(delta.text for delta in deltas)
        assert text.startswith(whole.text)
        assert len(deltas) > 1 or len(whole.token_ids) == 1

    async def test_each_token_comes_when_it_is_there(self) -> None:
        async with site() as here, here.client.stream("q", ENDLESS) as stream:
            iterator = aiter(stream)
            for _ in range(3):
                async with asyncio.timeout(5):
                    delta = await anext(iterator)  # while the server's time stands still
                assert len(delta.token_ids) == 1
                await here.clock.advance(0.5)

    async def test_the_branch_is_there_with_the_last_delta_and_not_before(self) -> None:
        async with site() as here, here.client.stream("q", SamplingParams(max_new_tokens=2, ignore_eos=True)) as stream:
            iterator = aiter(stream)
            await here.clock.run(anext(iterator))
            with pytest.raises(ConfigurationError, match="has not ended"):
                _ = stream.branch
            await here.clock.run(anext(iterator))
            assert len(stream.branch.token_ids) == 2

    async def test_a_break_may_be_followed_by_the_rest(self) -> None:
        async with site() as here:
            async with here.client.stream("q", SamplingParams(max_new_tokens=5, ignore_eos=True)) as stream:
                ids = list((await here.clock.run(anext(aiter(stream)))).token_ids)

                async def rest() -> None:
                    async for delta in stream:
                        ids.extend(delta.token_ids)

                await here.clock.run(rest())
            assert tuple(ids) == stream.branch.token_ids

    async def test_an_abort_ends_it_with_what_it_had_and_no_empty_delta(self) -> None:
        async with site() as here, here.client.stream("q", ENDLESS) as stream:
            async with asyncio.timeout(5):
                deltas = [await anext(aiter(stream))]  # the first token, while the server's time stands still
            await here.client.abort(*stream.rids)

            async def rest() -> None:
                async for delta in stream:
                    deltas.append(delta)

            await here.clock.run(rest())
            assert all(delta.token_ids for delta in deltas)
            assert stream.branch.end is EndReason.ABORTED
            assert stream.branch.token_ids == tuple(token for delta in deltas for token in delta.token_ids)

    async def test_leaving_early_stops_it(self) -> None:
        async with site() as here:
            async with here.client.stream("q", ENDLESS) as stream:
                await here.clock.run(anext(aiter(stream)))
            await eventually(lambda: here.aborts == 1)
            await here.settled()


class TestMisuse:
    async def test_a_stream_is_entered_before_it_is_read(self) -> None:
        async with site() as here:
            with pytest.raises(ConfigurationError, match="enter the stream first"):
                await anext(aiter(here.client.stream("q")))
            with pytest.raises(ConfigurationError, match="enter the stream first"):
                _ = here.client.expand_iter("q").rids

    async def test_a_stream_is_entered_once(self) -> None:
        async with site() as here, here.client.stream("q", ENDLESS) as stream:
            with pytest.raises(ConfigurationError, match="entered before"):
                await stream.__aenter__()

    async def test_a_stream_that_was_left_is_not_read(self) -> None:
        async with site() as here:
            async with here.client.expand_iter("q", 2, ENDLESS) as branches:
                pass
            with pytest.raises(ConfigurationError, match="begin a new one"):
                await all_of(branches)

    async def test_what_is_not_possible_is_refused_on_entering_and_not_sent(self) -> None:
        async with site() as here:
            with pytest.raises(InvalidRequestError):
                await all_of(here.client.expand_iter("q", 0))
            with pytest.raises(InvalidRequestError):
                await here.client.stream("").__aenter__()
            assert here.server.count("/generate") == 0

    async def test_a_client_that_is_not_open_streams_nothing(self) -> None:
        client = AsyncPolicyClient(profile="tiny")
        for begin in (client.stream, client.expand_iter):
            with pytest.raises(ConfigurationError, match="async with"):
                begin("q")

    async def test_a_client_that_closes_stops_its_open_streams(self) -> None:
        async with site() as here:
            stream = await here.client.expand_iter("q", 3, ENDLESS).__aenter__()
            await here.client.aclose()
            assert here.aborts == 3
            await here.settled()
            await stream.__aexit__(None, None, None)
            assert here.aborts == 3


class TestFailures:
    @pytest.mark.parametrize("version", VERSIONS)
    async def test_a_bad_value_is_the_same_error_as_without_a_stream(self, version: Version) -> None:
        async with (
            FakeServer(FakeOptions(version=version)) as server,
            AsyncPolicyClient(server.base_url) as client,  # without a profile nobody here knows the vocabulary
        ):
            beyond = SamplingParams(logit_bias={999_999: 1.0})
            with pytest.raises(RequestRejectedError, match="logit_bias") as without:
                await client.expand("q", 1, beyond)
            with pytest.raises(RequestRejectedError, match="logit_bias") as within:
                await all_of(client.expand_iter("q", 1, beyond))
        assert (within.value.status, within.value.message) == (without.value.status, without.value.message)

    @pytest.mark.parametrize("version", VERSIONS)
    async def test_a_queue_that_fills_in_the_stream_is_an_error_and_stops_the_others(self, version: Version) -> None:
        async with site(version=version, max_running_requests=1, max_queued_requests=2) as here:
            root = await here.client.prefix("q")
            await here.clock.run(here.client.warm(root))
            with pytest.raises(ServerBusyError, match="queue is full") as caught:
                await here.clock.run(all_of(here.client.expand_iter(root, 8, ENDLESS)))
            assert caught.value.status == 503
            assert len(caught.value.rids) == 1
            await eventually(lambda: here.aborts >= 1)
            await here.settled()

    async def test_a_full_queue_before_the_stream_is_tried_again(self) -> None:
        async with site(FaultPlan().on(QueueFull(), nth=(1, 2))) as here:
            async with here.client.stream("q", ENDLESS) as stream:
                assert (await here.clock.run(anext(aiter(stream)))).token_ids
            assert here.server.count("/generate") == 3

    @pytest.mark.parametrize("size", [200, 400, 900])
    async def test_a_stream_that_breaks_is_a_lost_server_until_it_answers_a_probe(self, size: int) -> None:
        async with site() as here:
            root = await here.client.prefix("q")
            await here.clock.run(here.client.warm(root))
            here.server.faults.on(Reset(after=size), times=1)
            with pytest.raises(ServerUnreachableError, match="in the middle of a stream"):
                await here.clock.run(all_of(here.client.expand_iter(root, 2, SamplingParams(max_new_tokens=4))))
            assert here.client.stats.server == "down"
            assert len(await here.clock.run(here.client.expand(root, 2))) == 2
            assert here.client.stats.server == "up"
            assert ", 0 warm tokens" not in repr(here.client)  # nothing was forgotten

    async def test_a_server_that_dies_in_the_middle_is_a_lost_server(self) -> None:
        async with site() as here, here.client.stream("q", ENDLESS) as stream:
            async with asyncio.timeout(5):
                await anext(aiter(stream))  # the first token, while the server's time stands still
            await here.server.kill()
            with pytest.raises(ServerUnreachableError) as caught:
                async for _ in stream:  # what had come before
                    pass
            assert caught.value.rids == stream.rids

    @pytest.mark.parametrize(
        ("fault", "kind"), [(ServerError(), ServerFaultError), (Garbage(), ServerUnreachableError)]
    )
    async def test_what_is_not_a_stream_of_sglangs_is_an_error(self, fault: Any, kind: type[RequestError]) -> None:
        async with (
            FakeServer(faults=FaultPlan().on(fault)) as server,
            AsyncPolicyClient(server.base_url, "tiny", retry=QUICK) as client,
        ):
            with pytest.raises(kind):
                await all_of(client.expand_iter("q", 1))

    @pytest.mark.parametrize("version", VERSIONS)
    async def test_the_deadline_covers_the_whole_stream_and_stops_it(self, version: Version) -> None:
        async with site(version=version) as here:
            clock = Clock()
            late: asyncio.Task[list[Branch]] = asyncio.create_task(
                all_of(here.client.expand_iter([97], 3, ENDLESS, timeout=60))
            )
            # warm first, then the batch, whose samples wait for a time that does not come
            await clock.jump(60, when=lambda: len(here.server.scheduler.running) == 3)
            with pytest.raises(DeadlineExceededError, match="within 60 s") as caught:
                await late
            assert len(caught.value.rids) == 3
            await eventually(lambda: here.aborts == 3)
            await here.settled()


class TestCancellation:
    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize("kind", ["branches", "text"])
    async def test_cancelling_at_any_await_leaves_nothing_behind(self, version: Version, kind: str) -> None:
        """Cancel a stream at its k-th suspension, for every k until it completes."""
        sampling = SamplingParams(max_new_tokens=3, ignore_eos=True, stop="never")

        async def whole(client: AsyncPolicyClient, ids: list[int]) -> int:
            if kind == "branches":
                async with client.expand_iter(ids, 2, sampling) as branches:
                    return len(await all_of(branches))
            async with client.stream(ids, sampling) as stream:
                return len([delta async for delta in stream])

        options = FakeOptions(version=version, disconnect_poll_seconds=0.001, stream_abort_seconds=0.001)
        async with FakeServer(options) as server:
            before = asyncio.all_tasks()
            async with AsyncPolicyClient(server.base_url, "tiny", retry=QUICK) as client:
                place, done = 0, 0
                while not done:
                    place += 1
                    task = asyncio.create_task(cancelled_at(place, whole(client, [place, 97])))  # cold each time
                    await asyncio.wait([task])
                    done = 0 if task.cancelled() else task.result()
                    await eventually(lambda: asyncio.all_tasks() == before)
                    await eventually(lambda: server.scheduler.is_idle and not server.registered_rids)
                assert place >= 5
            await eventually(lambda: server.open_connections == 0)

    async def test_cancelling_the_wait_for_a_branch_stops_them_all(self) -> None:
        async with site() as here:
            task = asyncio.create_task(all_of(here.client.expand_iter("q", 3, ENDLESS)))
            await eventually(lambda: len(here.server.scheduler.running) == 3)
            await here.clock.advance(2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await eventually(lambda: here.aborts == 3)
            await here.settled()

    @pytest.mark.parametrize("passes", [0, 500])  # before its header was read, and after
    async def test_the_connection_stays_open_until_the_server_knows_of_the_aborts(self, passes: int) -> None:
        """SGLang 0.5.18 forgets the ids of a stream that was closed: an abort after that finds nothing."""
        async with site(version="0.5.18") as here:
            are_gone: list[bool] = []
            streams: list[Any] = []
            told = here.server.handle

            def look(exchange: Any) -> None:
                if exchange.path == "/generate":
                    streams.append(exchange)
                elif exchange.path == "/abort_request":
                    are_gone.append(streams[-1].is_gone)
                told(exchange)

            here.server.handle = look  # type: ignore[method-assign]
            task = asyncio.create_task(all_of(here.client.expand_iter("q", 3, ENDLESS)))
            await eventually(lambda: len(here.server.scheduler.running) == 3)
            for _ in range(passes):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            await eventually(lambda: len(are_gone) == 3)
            assert not any(are_gone)
            await eventually(lambda: streams[-1].is_gone)

    async def test_a_wait_that_was_given_up_can_be_taken_up_again(self) -> None:
        async with site() as here:
            async with here.client.expand_iter("q", 2, SamplingParams(max_new_tokens=3)) as branches:
                waiting = asyncio.create_task(all_of(branches))
                await eventually(lambda: len(here.server.scheduler.running) == 2)
                waiting.cancel()
                await asyncio.wait([waiting])
                assert len(await here.clock.run(all_of(branches))) == 2
            assert here.aborts == 0
