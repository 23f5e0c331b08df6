from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from ets_client import AsyncPolicyClient, SamplingParams
from ets_client.testing import FakeOptions, FakeServer, Version
from tests.fakes import eventually
from tests.stream_site import ENDLESS, QUICK, VERSIONS, all_of, site

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator


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


class TestCancellation:
    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize("kind", ["branches", "text"])
    async def test_cancelling_at_any_await_leaves_nothing_behind(self, version: Version, kind: str) -> None:
        """Cancel a stream at its k-th suspension, for every k until it completes."""
        sampling = SamplingParams(max_new_tokens=3, ignore_eos=True, stop="never, ever")

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
