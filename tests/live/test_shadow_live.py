"""The shadow beside a real server's cache: each prediction is made before its request is sent."""

from __future__ import annotations

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
        await client.flush_cache()
        shadow = Shadow(CacheRules(info.max_total_tokens, info.page_size))
        shared = random.choices(VOCABULARY, k=500)
        nodes: list[Prefix] = []
        wrong: list[tuple[int, Reuse]] = []
        for number in range(300):
            if number % 4 == 0:
                cut = random.randrange(len(shared))
                prefix = await client.prefix(shared[:cut] + random.choices(VOCABULARY, k=1300 - cut))
            else:
                # Mostly the newest, now and then one that is long gone.
                prefix = random.choice(nodes[-20:] if random.random() < 0.6 else nodes)
            nodes.append(prefix)
            child, reuse = await expand_one(client, shadow, prefix, random.randrange(1, 30))
            if len(child) < 1900:
                nodes.append(child)
            if reuse.predicted != reuse.reported:
                wrong.append((number, reuse))
        assert shadow.stats.evicted > 10_000
        assert wrong == []
