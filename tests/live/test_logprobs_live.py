"""Log-probabilities of a real server under a mixed load."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

import pytest

from ets_client import AsyncPolicyClient, InvalidRequestError, LabelChoice, LabelProbs, LogprobOptions, SamplingParams

if TYPE_CHECKING:
    from pathlib import Path

    from ets_client import Branch, Logprobs

SHORT = SamplingParams(max_new_tokens=10, ignore_eos=True, stop="never, ever")
CHOSEN = (300, 5, 7)


def told(branch: Branch) -> Logprobs:
    assert branch.logprobs is not None
    return branch.logprobs


def check_top(branch: Branch, top: int) -> None:
    logprobs = told(branch)
    assert len(logprobs) == len(logprobs.top) == len(branch.token_ids) == 10
    for token, own, row in zip(branch.token_ids, logprobs.values, logprobs.top, strict=True):
        assert len(row) == top
        assert list(row.values()) == sorted(row.values(), reverse=True)
        assert row.get(token, own) == pytest.approx(own, abs=1e-5)
        assert own <= max(row.values()) + 1e-5


async def load(client: AsyncPolicyClient, kinds: list[Any], calls: int) -> list[tuple[Any, Branch]]:
    """Many calls at once, of all kinds and in both ways, so that steps of the server hold several."""

    async def one(number: int) -> list[tuple[Any, Branch]]:
        kind = kinds[number % len(kinds)]
        text = f"Call number {number} begins here."
        if number % 3:
            return [(kind, branch) for branch in await client.expand(text, 2, SHORT, logprobs=kind)]
        async with client.stream(text, SHORT, logprobs=kind) as stream:
            assert [delta async for delta in stream]
        return [(kind, stream.branch)]

    found = await asyncio.gather(*(one(number) for number in range(calls)))
    assert await client.health()
    return [pair for each in found for pair in each]


@pytest.mark.live
async def test_alternatives_are_safe_beside_anything_else(live_endpoint: Path) -> None:
    async with AsyncPolicyClient.from_endpoint(live_endpoint) as client:
        kinds = [False, True, LogprobOptions(top=1), LogprobOptions(top=20), LogprobOptions(top=1000)]
        found = await load(client, kinds, 40)
    for kind, branch in found:
        if isinstance(kind, LogprobOptions):
            check_top(branch, kind.top)
        assert (branch.logprobs is None) is (kind is False)


@pytest.mark.live
async def test_chosen_ids_are_refused_by_a_version_that_dies_of_them(live_endpoint: Path) -> None:
    async with AsyncPolicyClient.from_endpoint(live_endpoint) as client:
        with pytest.raises(InvalidRequestError, match=r"SGLang 0\.5\.18"):
            await client.expand("Hello", 2, SHORT, logprobs=LogprobOptions(chosen=CHOSEN))


@pytest.mark.live_0_5_23
async def test_chosen_ids_are_safe_beside_anything_else(live_endpoint_0_5_23: Path) -> None:
    async with AsyncPolicyClient.from_endpoint(live_endpoint_0_5_23) as client:
        kinds = [False, True, LogprobOptions(chosen=CHOSEN), LogprobOptions(top=5, chosen=[1])]
        found = await load(client, kinds, 60)
    for kind, branch in found:
        if isinstance(kind, LogprobOptions):
            rows = told(branch).chosen
            assert [list(row) for row in rows] == [list(kind.chosen)] * 10
            if kind.top:
                check_top(branch, kind.top)


@pytest.mark.live_0_5_23
async def test_chosen_ids_have_the_probabilities_of_labels(live_endpoint_0_5_23: Path) -> None:
    async with AsyncPolicyClient.from_endpoint(live_endpoint_0_5_23) as client:
        root = await client.prefix("What comes next is")
        branch = await client.generate(root, SHORT, logprobs=LogprobOptions(top=1000, chosen=CHOSEN))
        (labels,) = await client.label_probs([root], list(CHOSEN))
        (choice,) = await client.label_choices([root], list(CHOSEN))
    assert isinstance(labels, LabelProbs)
    assert isinstance(choice, LabelChoice)
    assert choice.probs == pytest.approx(labels.probs, abs=2e-3)
    assert list(told(branch).chosen[0].values()) == pytest.approx(labels.logprobs, abs=1e-3)
    assert math.fsum(map(math.exp, told(branch).top[0].values())) <= 1 + 1e-4
