"""The shadow beside a real server's cache: each prediction is made before its request is sent."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import pytest

from ets_client import AsyncPolicyClient, Prefix, SamplingParams
from ets_client._core.shadow import Reuse, Shadow
from ets_client._core.shadow_rules import CacheRules

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.live

VOCABULARY = range(300, 2000)


async def expand_one(client: AsyncPolicyClient, shadow: Shadow, prefix: Prefix, tokens: int) -> tuple[Prefix, Reuse]:
    """One sample, predicted before it is sent."""
    sample = shadow.begin(prefix)
    (branch,) = await client.expand(prefix, 1, SamplingParams(max_new_tokens=tokens, ignore_eos=True))
    return branch.prefix, shadow.finish(sample, branch.token_ids, branch.usage.cached_tokens)


async def test_a_search_that_overflows_the_cache_is_predicted_to_the_token(live_endpoint: Path) -> None:
    random = Random(0)
    async with AsyncPolicyClient.from_endpoint(live_endpoint) as client:
        info = await client.server_info()
        assert info.max_total_tokens is not None
        assert info.page_size is not None
        await client.flush_cache()
        shadow = Shadow(CacheRules(info.max_total_tokens, info.page_size))
        shared = random.choices(VOCABULARY, k=400)
        nodes: list[Prefix] = []
        missed = 0
        for number in range(130):
            if number < 50:  # far more than the cache holds; parts of some are shared
                cut = random.randrange(len(shared))
                prefix = await client.prefix(shared[:cut] + random.choices(VOCABULARY, k=1900 - cut))
                nodes.append(prefix)
            else:
                prefix = random.choice(nodes)
            child, reuse = await expand_one(client, shadow, prefix, random.randrange(1, 10))
            nodes.append(child)
            assert reuse.predicted == reuse.reported, f"request {number}: {reuse}"
            missed += number >= 50 and reuse.predicted < len(prefix) - 1
        assert missed > 10  # prefixes that had been evicted, as predicted
        assert shadow.stats.evicted > 20_000


async def test_8_concurrent_expands_of_one_cold_root_compute_it_once_and_as_predicted(live_endpoint: Path) -> None:
    async with AsyncPolicyClient.from_endpoint(live_endpoint) as client:
        await client.flush_cache()
        root = await client.prefix(Random(1).choices(VOCABULARY, k=1500))
        before = await client.metrics()
        step = SamplingParams(max_new_tokens=16, ignore_eos=True)
        expansions = await asyncio.gather(*(client.expand(root, 8, step) for _ in range(8)))
        counted = (await client.metrics()).since(before)
        least = len(root) + 8 * 8 - 1
        assert least <= counted.prefilled_tokens <= 1.005 * least
        assert {expansion.warm_usage.prompt_tokens for expansion in expansions} == {0}
        for branch in [branch for expansion in expansions for branch in expansion]:
            assert branch.usage.cached_tokens == branch.predicted_cached_tokens
        assert client.stats.reuse_shortfall == 0
