"""A real server with two data-parallel ranks: a tree stays on one of them."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import pytest

from ets_client import AsyncPolicyClient, SamplingParams

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.live

STEP = SamplingParams(max_new_tokens=12, ignore_eos=True, stop="never, ever")


async def test_each_tree_is_computed_on_one_rank_at_the_least_and_both_ranks_have_trees(
    live_endpoint_two_ranks: Path,
) -> None:
    async with AsyncPolicyClient.from_endpoint(live_endpoint_two_ranks) as client:
        assert client.capabilities.dp_size == 2
        random = Random(3)

        async def search(number: int) -> None:
            async with client.tree(f"tree {number}") as tree:
                root = await tree.prefix([300 + number, *random.choices(range(300, 2000), k=400)])
                level = list(await tree.expand(root, 4, STEP))
                for _ in range(2):
                    expansions = await asyncio.gather(*(tree.expand(branch, 2, STEP) for branch in level))
                    level = [branch for expansion in expansions for branch in expansion][:4]

        before = await client.metrics()
        await asyncio.gather(*(search(number) for number in range(8)))
        total, counted = client.ledger.total, (await client.metrics()).since(before)
        assert total.computed == total.least
        assert total.reused == total.predicted
        assert counted.prefilled_tokens <= 1.005 * total.least
        caches = client._connection.cache._shadows if client._connection is not None else []
        assert [shadow.stats.error for shadow in caches] == [0, 0]
        assert all(shadow.stats.tokens > 3 * 400 for shadow in caches)
