"""Restarts, silence, resets and overload in the middle of many expands: none is lost, none hangs."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from ets_client import AsyncPolicyClient, FailureKind, SamplingParams
from ets_client.testing import FakeServer, FaultPlan, NeverAnswer, QueueFull, Reset
from tests.fakes import eventually
from tests.survival.conftest import FAST, QUICK, site

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ets_client import Prefix

STEP = SamplingParams(max_new_tokens=8, ignore_eos=True)


async def grow(client: AsyncPolicyClient, question: str, levels: int) -> list[Prefix]:
    """A small tree: each level expands two children of the last."""
    frontier = [await client.prefix(question * 20)]
    for _ in range(levels):
        expansions = await asyncio.gather(*(client.expand(prefix, 4, STEP) for prefix in frontier))
        assert all(len(expansion) == 4 for expansion in expansions)
        frontier = [expansion[place].prefix for expansion in expansions for place in (0, 1)][:4]
    return frontier


async def test_a_server_that_is_killed_and_started_again_costs_no_tree() -> None:
    async with FakeServer(costs=FAST) as first:
        port = int(first.base_url.rsplit(":", 1)[1])
        async with AsyncPolicyClient(first.base_url, "tiny", retry=QUICK) as client:
            trees = [asyncio.ensure_future(grow(client, f"question {place} ", 6)) for place in range(16)]
            await eventually(lambda: first.count("/generate") > 60)
            await first.kill()
            await eventually(lambda: client.stats.server == "down")
            await all_waiting(client, trees)
            await eventually(lambda: ", 0 warm tokens" in repr(client))  # a probe has met nobody there
            asked = client.stats.requests
            async with FakeServer(costs=FAST, port=port):
                frontiers = await asyncio.wait_for(asyncio.gather(*trees), 30)
                assert [len(frontier) for frontier in frontiers] == [4] * 16
                assert client.stats.requests > asked
            assert client.stats.failures[FailureKind.DISCONNECT] <= 64
            assert client.stats.failures[FailureKind.DISCONNECT] + client.stats.failures.get(FailureKind.CONNECT, 0) > 0


async def all_waiting(client: AsyncPolicyClient, trees: Sequence[asyncio.Future[list[Prefix]]]) -> None:
    await eventually(lambda: client.stats.in_flight == 0 and client.stats.waiting > 0)
    assert not any(tree.done() for tree in trees)


async def test_replies_that_never_come_are_sent_for_again_and_delay_nobody_else() -> None:
    faults = FaultPlan(seed=3).on(NeverAnswer(), probability=0.01)
    patient = replace(QUICK, least_attempt=2.0)  # a busy machine may take half a second
    async with site(faults, retry=patient) as (server, client):
        root = await client.prefix("question " * 10)
        await client.warm(root)
        done: Counter[int] = Counter()

        async def worker(place: int) -> None:
            for _ in range(20):
                done[place] += len(await client.expand(root, 2, STEP))

        await asyncio.wait_for(asyncio.gather(*(worker(place) for place in range(50))), 60)
        assert set(done.values()) == {40}
        lost = client.stats.failures[FailureKind.NO_REPLY]
        assert 1 <= lost <= 40
        assert server.count("/abort_request") >= 2 * (lost - 1)  # a lost prefill has one sample


async def test_connections_that_are_reset_cost_no_expand() -> None:
    faults = FaultPlan(seed=5).on(Reset(), probability=0.01).on(Reset(after=30), probability=0.01)
    async with site(faults) as (_, client):
        root = await client.prefix("question " * 10)

        async def worker() -> None:
            for _ in range(20):
                assert len(await client.expand(root, 2, STEP)) == 2

        await asyncio.wait_for(asyncio.gather(*(worker() for _ in range(50))), 60)
        stats = client.stats
        assert stats.failures[FailureKind.DISCONNECT] >= 5
        assert stats.resends <= 10 + 0.1 * stats.calls + 0.5 * 60


async def test_a_full_server_is_not_flooded_and_work_goes_on_as_soon_as_there_is_room() -> None:
    faults = FaultPlan()
    async with site(faults) as (server, client):
        root = await client.prefix("question " * 10)
        await client.warm(root)
        faults.on(QueueFull())
        calls = [asyncio.ensure_future(client.expand(root, 1, STEP)) for _ in range(64)]
        await eventually(lambda: client.stats.waiting == 64)
        refused = server.count("/generate")
        assert refused <= 65 + 1  # the warm one, each call once, and perhaps a first probe
        await eventually(lambda: server.count("/generate") >= refused + 3)  # it is still tried, one at a time
        assert not any(call.done() for call in calls)
        faults.clear()
        await asyncio.wait_for(asyncio.gather(*calls), 10)
        await eventually(lambda: client.stats.server == "up")
        extra = server.count("/generate") - 65 - 64
        assert extra <= 12
