"""Connections cut at every byte: each expand ends in its result, and no sample runs twice at once."""

from __future__ import annotations

import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from ets_client import AsyncPolicyClient, RequestError, RetryPolicy, SamplingParams
from ets_client.testing import Costs, FakeOptions, FakeServer
from tests.fakes import eventually
from tests.survival.conftest import FAST
from tests.survival.cutting import CuttingProxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ets_client import Prefix
    from ets_client.testing.job import Job
    from tests.survival.cutting import Way

N = 2
AT_ONCE = RetryPolicy(first_wait=0.0, most_wait=0.0)  # and no try is given up because the machine is busy
STEP = SamplingParams(max_new_tokens=2, ignore_eos=True, stop="never, ever")
DEAF = FakeOptions(disconnect_poll_seconds=3600.0)  # samples of a connection that is gone run on: only aborts stop them


class Site:
    """A server behind a cutting proxy, a client, and how many samples ran at once at most."""

    def __init__(self, server: FakeServer, proxy: CuttingProxy, client: AsyncPolicyClient, root: Prefix) -> None:
        self.server, self.proxy, self.client, self.root = server, proxy, client, root
        self.most_at_once = 0
        submit = server.scheduler.submit

        def watched(job: Job) -> None:
            submit(job)
            # An abort is carried out with the next token, up to which SGLang has the sample in its batch.
            running = [other for other in server.scheduler.active if other.ending is None]
            self.most_at_once = max(self.most_at_once, len(running))

        server.scheduler.submit = watched  # type: ignore[method-assign]

    async def expand(self, sampling: SamplingParams = STEP) -> int:
        self.client._server.budget._tokens = 10.0  # this one client meets a year's worth of cuts
        return len(await self.client.expand(self.root, N, sampling))


@asynccontextmanager
async def site(costs: Costs = FAST, **options: Any) -> AsyncIterator[Site]:
    async with FakeServer(DEAF, costs=costs) as server, CuttingProxy().run(server.port) as proxy:
        async with AsyncPolicyClient(proxy.url, "tiny", **{"retry": AT_ONCE, **options}) as client:
            root = await client.prefix("q")
            await client.warm(root)
            found = Site(server, proxy, client, root)
            await found.expand()
            yield found
            assert found.most_at_once == N
            assert client.stats.in_flight == 0
            await eventually(lambda: client.stats.connections_busy == 0)  # aborts are repeated
        await eventually(lambda: server.scheduler.is_idle)


@pytest.mark.parametrize("way", ["request", "reply"])
async def test_an_expand_whose_connection_is_cut_at_any_byte_has_its_result(way: Way) -> None:
    async with site() as here:
        size = here.proxy.sizes[way]
        assert size > 300
        for after in range(size):
            here.proxy.cut(way, after, resets=after % 2 == 0)
            assert await here.expand() == N
        assert size - 20 < here.proxy.cuts <= size  # replies tell times, and differ by a few digits
        assert 0 <= here.proxy.cuts - sum(here.client.stats.failures.values()) < 20  # some are cut at their end


async def test_a_cut_after_the_whole_request_stops_its_samples_before_they_are_sent_again() -> None:
    long = SamplingParams(max_new_tokens=64, ignore_eos=True, stop="never, ever")
    async with site(Costs(decode_step=0.002)) as here:
        await here.expand(long)
        size = here.proxy.sizes["request"]
        for place in range(10):
            here.proxy.cut("request", size, resets=place % 2 == 0)
            assert await here.expand(long) == N
        assert here.client.stats.aborts == 10 * N


@pytest.mark.parametrize("resets", [False, True])
async def test_without_retries_a_cut_is_a_typed_error_and_leaves_nothing_running(resets: bool) -> None:
    async with site(retry=RetryPolicy(attempts=1)) as here:
        for way in ("request", "reply"):
            for after in range(0, here.proxy.sizes[way], 50):
                here.proxy.cut(way, after, resets=resets)
                with contextlib.suppress(RequestError):
                    assert await here.expand() == N  # a connection that had been idle: sent again, free
                await eventually(lambda: here.server.scheduler.is_idle)


@pytest.mark.parametrize("resets", [False, True])
async def test_a_stream_that_is_cut_anywhere_is_a_typed_error(resets: bool) -> None:
    async with site() as here:

        async def stream() -> int:
            async with here.client.expand_iter(here.root, N, STEP) as branches:
                return len([branch async for branch in branches])

        assert await stream() == N
        for after in range(0, here.proxy.sizes["reply"], 7):
            here.proxy.cut("reply", after, resets=resets)
            here.client._server.budget._tokens = 10.0
            with contextlib.suppress(RequestError):
                assert await stream() == N  # the stream had not begun, and was sent for again
            await eventually(lambda: here.server.scheduler.is_idle)
