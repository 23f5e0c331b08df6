"""The ledger of real calls, beside the counters of the fake server's scheduler."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ets_client import ConfigurationError, InvalidRequestError, PolicyClient, SamplingParams
from tests.test_prefix_sharing import EXAMPLES, STEP, least, prefilled, site

if TYPE_CHECKING:
    from ets_client import Branch, Prefix

SHORT = SamplingParams(max_new_tokens=4, ignore_eos=True, stop="never, ever")


async def test_a_search_costs_the_least_and_the_ledger_says_so() -> None:
    async with site() as (server, client):
        asked: list[tuple[Prefix, int]] = []
        branches: list[Branch] = []

        async def grow(question: str) -> None:
            async with client.tree(question) as tree:
                level = [await tree.prefix(EXAMPLES + question)]
                for n in (6, 3, 3):
                    asked.extend((prefix, n) for prefix in level)
                    expansions = await asyncio.gather(*(tree.expand(prefix, n, STEP) for prefix in level))
                    new = [branch for expansion in expansions for branch in expansion]
                    branches.extend(new)
                    level = [branch.prefix for branch in new][:3]
                    for expansion in expansions:
                        assert expansion.predicted_cached_tokens == expansion.usage.cached_tokens
                assert tree.ledger.live > 3 * 6

        await asyncio.gather(*(grow(f"Question {place}?") for place in range(4)))
        ledger, counts = client.ledger, server.scheduler.counts
        total = ledger.total
        assert total.least == least(asked, branches)
        assert total.computed == prefilled(server)
        assert (total.asked, total.reused, total.generated) == (counts["prompt"], counts["cached"], counts["generated"])
        assert (total.expands, total.samples, total.unanswered, total.of_least) == (28, 96, 0, 1.0)
        assert total.predicted == total.reused
        assert ledger.cached == server.scheduler.tree.size
        assert {row.samples for row in ledger.trees} == {6 + 9 + 9}
        assert (total.live, {row.live for row in ledger.trees}) == (0, {0})
        assert 0 < total.live_mean < total.live_peak
    after = client.ledger
    assert (after.total.computed, after.total.live_peak, after.cached) == (total.computed, total.live_peak, 0)


async def test_streams_partial_expands_and_prefills_are_counted() -> None:
    async with site() as (server, client):
        root = await client.prefix(EXAMPLES)
        await client.warm(root)
        await client.expand(root, 2, SHORT, partial="return")
        async with client.expand_iter(root, 2, SHORT) as stream:
            assert len([branch async for branch in stream]) == 2
        await client.generate(root, SHORT)
        total, counts = client.ledger.total, server.scheduler.counts
        assert (total.expands, total.samples, total.prefills, total.unanswered) == (3, 5, 1, 0)
        assert (total.asked, total.reused, total.generated) == (counts["prompt"], counts["cached"], counts["generated"])
        assert (total.computed, total.least) == (len(root) + 5, len(root) + 4)


async def test_label_probes_have_a_row_of_their_own_and_no_part_in_the_least() -> None:
    async with site() as (server, client):
        root = await client.prefix(EXAMPLES)
        await client.expand(root, 2, SHORT)
        before, counts = client.ledger, dict(server.scheduler.counts)
        await client.label_probs([root, root.child([5], "")], [7, 8, 9])
        ledger, probes = client.ledger, client.ledger.probes
        assert replace(ledger.total, live_mean=0, live_token_seconds=0, seconds=0) == replace(
            before.total, live_mean=0, live_token_seconds=0, seconds=0
        )
        assert (probes.samples, probes.asked, probes.unanswered) == (6, 3 * (len(root) + 1 + len(root) + 2), 0)
        assert probes.asked == server.scheduler.counts["prompt"] - counts["prompt"]
        assert probes.reused == server.scheduler.counts["cached"] - counts["cached"] > 0
        assert str(ledger).splitlines()[3].split()[:4] == ["label", "probes", "0", "6"]


async def test_a_tree_has_a_ledger_from_its_beginning_on() -> None:
    async with site() as (_, client):
        tree = client.tree("one")
        with pytest.raises(ConfigurationError, match="has no ledger yet: enter it first"):
            _ = tree.ledger
        async with tree:
            assert (tree.ledger.name, tree.ledger.seconds) == ("one", 0.0)
            await tree.expand("q", 1, SHORT)
        assert tree.ledger.samples == 1
        with pytest.raises(InvalidRequestError, match="weight = 0"):
            client.tree(weight=0)


async def test_threads_have_the_same_ledger() -> None:
    async with site() as (server, _):

        def search() -> None:
            with PolicyClient(server.base_url, "tiny") as client:
                with client.tree("one", weight=2.0) as tree:
                    (branch,) = tree.expand("q", 1, SHORT, speculative=True)
                    tree.prune(branch)
                    assert tree.ledger.live == 1
                assert client.ledger.total.samples == 1

        await asyncio.to_thread(search)
