"""Each call, cancelled at its first await, its second, and so on, where it waits for a turn, a departure and others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ets_client import SamplingParams
from tests.fakes import eventually
from tests.survival.chaos import assert_idle, turns
from tests.survival.conftest import site
from tests.test_stream_cancellation import cancelled_at

if TYPE_CHECKING:
    from ets_client import AsyncPolicyClient, Tree

STEP = SamplingParams(max_new_tokens=3, ignore_eos=True, stop="e")
KINDS = ["expand", "partly", "branches", "left", "choices"]


async def one_call(calls: AsyncPolicyClient | Tree, ids: list[int], kind: str) -> int:
    root = await calls.prefix(ids)
    if kind == "expand":
        return len(await calls.expand(root, 3, STEP))
    if kind == "partly":
        return len(await calls.expand(root, 3, STEP, partial="return"))
    if kind == "branches":
        async with calls.expand_iter(root, 3, STEP) as stream:
            return len([branch async for branch in stream])
    if kind == "left":
        async with calls.expand_iter(root, 3, STEP) as stream:
            return len(await stream.ended())
    return len(await calls.label_choices([root], [43, 45]))


async def in_a_crowd(client: AsyncPolicyClient, ids: list[int], kind: str, *, in_tree: bool) -> int:
    """One call beside others, which take the permits, the connections and the departures."""
    others = [asyncio.ensure_future(client.expand("busy", 2, STEP)) for _ in range(3)]
    try:
        if not in_tree:
            return await one_call(client, ids, kind)
        async with client.tree() as tree:
            return await one_call(tree, ids, kind)
    finally:
        for other in others:
            other.cancel()
        await asyncio.wait(others)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_call_cancelled_at_any_await_leaves_nothing_behind(kind: str) -> None:
    async with site(admission=4, departure_interval=0.003, connections=2) as (server, client):
        place, done = 0, 0
        while not done:
            place += 1
            call = in_a_crowd(client, [97, 98, 99 + place], kind, in_tree=False)
            task = asyncio.create_task(cancelled_at(place, call))
            await asyncio.wait([task])
            done = 0 if task.cancelled() else task.result()
            await assert_idle(client)
            await eventually(lambda: server.scheduler.is_idle and not server.registered_rids)
        assert place >= 4
        assert len(await client.expand("healthy", 4, STEP)) == 4


@pytest.mark.parametrize("again", [None, 0, 1, 3])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_tree_cancelled_in_any_turn_of_the_loop_and_again_while_it_ends_leaves_nothing_behind(
    kind: str, again: int | None
) -> None:
    async with site(admission=4, departure_interval=0.003, connections=2) as (server, client):
        for count in range(0, 120, 2):
            task = asyncio.create_task(in_a_crowd(client, [97, 98, 99 + count], kind, in_tree=True))
            await turns(count)
            task.cancel()
            if again is not None:
                await turns(again)
                task.cancel()
            await asyncio.wait([task])
            await assert_idle(client)
            await eventually(lambda: server.scheduler.is_idle and not server.registered_rids)
        assert len(await client.expand("healthy", 4, STEP)) == 4
