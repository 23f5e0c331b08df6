"""A tree search cancels all the time: nothing may leak, here or on the server."""

from __future__ import annotations

import asyncio
import os
import random

from ets_client import AsyncPolicyClient, SamplingParams
from tests.fakes import eventually
from tests.survival.conftest import site

CANCELS = int(os.environ.get("ETS_CANCELS", "2000"))
STEP = SamplingParams(max_new_tokens=8, ignore_eos=True)


async def cancelled_soon(client: AsyncPolicyClient, chance: random.Random) -> None:
    task = asyncio.ensure_future(client.expand(f"question {chance.randrange(20)}", chance.choice([1, 2, 8]), STEP))
    if chance.random() < 0.5:
        for _ in range(chance.randrange(40)):
            await asyncio.sleep(0)
    else:
        await asyncio.sleep(chance.random() * 0.01)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled() or task.exception() is None


async def test_expands_cancelled_at_random_moments_leak_nothing() -> None:
    chance = random.Random(7)
    async with site(connections=16) as (server, client):

        async def worker() -> None:
            for _ in range(CANCELS // 50):
                await cancelled_soon(client, chance)

        await asyncio.gather(*(worker() for _ in range(50)))
        await eventually(lambda: server.scheduler.is_idle)
        await eventually(lambda: client.stats.in_flight == client.stats.samples_in_flight == 0)
        await eventually(lambda: client.stats.connections_busy == 0)  # the last aborts
        results = await asyncio.gather(*(client.expand("healthy", 1, STEP) for _ in range(100)))
        assert len(results) == 100
        assert len(asyncio.all_tasks()) < 40  # of the server's connections; the client has none


async def test_a_pruned_branch_costs_nothing_more_at_once() -> None:
    endless = SamplingParams(max_new_tokens=1500, ignore_eos=True, stop="never, ever")
    async with site() as (server, client):
        expands = [asyncio.ensure_future(client.expand(f"q{place}", 8, endless)) for place in range(8)]
        await eventually(lambda: client.stats.samples_in_flight == 64)
        for expand in expands:
            expand.cancel()
        await eventually(lambda: server.count("/abort_request") >= 64)
        await eventually(lambda: server.scheduler.is_idle)
