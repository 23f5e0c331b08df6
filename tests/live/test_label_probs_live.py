"""Label probabilities against transformers on the same weights, choices against them, and both beside other calls."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from ets_client import AsyncPolicyClient, LabelChoice, LabelProbs, SamplingParams

from .engine import run_on_engine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ets_client import Prefix, ScoreFailure

pytestmark = pytest.mark.live

TEXTS = ("Step one is right.", "Step two is wrong, though it is longer.\n\n", "x")


def assert_as_transformers(
    client: AsyncPolicyClient,
    prefixes: Sequence[Prefix],
    labels: Sequence[int],
    outcomes: Sequence[LabelProbs | ScoreFailure],
) -> None:
    prompts = json.dumps([prefix.token_ids for prefix in prefixes])
    rows = json.loads(run_on_engine("reference_logprobs.py", client.capabilities.model_path, stdin=prompts))
    for outcome, row in zip(outcomes, rows, strict=True):
        assert isinstance(outcome, LabelProbs)
        assert outcome.token_ids == tuple(labels)
        expected = [row[label] for label in labels]
        assert max(abs(ours - theirs) for ours, theirs in zip(outcome.logprobs, expected, strict=True)) < 1e-2


async def test_label_probabilities_are_those_of_transformers(live_endpoint: Path) -> None:
    labels = range(0, 2048, 16)
    async with AsyncPolicyClient.from_endpoint(live_endpoint) as client:
        roots = [await client.prefix(text) for text in TEXTS]
        assert_as_transformers(client, roots, labels, await client.label_probs(roots, labels))


async def test_label_probabilities_of_a_trained_model_are_those_of_transformers(
    live_endpoint_smollm2_float32: Path,
) -> None:
    async with AsyncPolicyClient.from_endpoint(live_endpoint_smollm2_float32) as client:
        roots = [await client.root(text) for text in ("Is 2 + 2 = 4?", "Tom has 3 boxes of 4 apples. Has he 12?")]
        plus, minus = [(await client.tokenize(text))[0] for text in "+-"]
        labels = [plus, minus, *range(100, 30_000, 3_000)]
        assert_as_transformers(client, roots, labels, await client.label_probs(roots, labels))


def assert_the_same(
    choices: Sequence[LabelChoice | ScoreFailure], probs: Sequence[LabelProbs | ScoreFailure], error: float
) -> None:
    for choice, each in zip(choices, probs, strict=True):
        assert isinstance(choice, LabelChoice)
        assert isinstance(each, LabelProbs)
        assert choice.token_ids == each.token_ids
        assert choice.probs == pytest.approx(each.probs, abs=error)


async def test_a_choice_is_the_labels_probabilities_renormalised(live_endpoint: Path) -> None:
    async with AsyncPolicyClient.from_endpoint(live_endpoint) as client:
        roots = [await client.prefix(text) for text in TEXTS]
        for labels in ([43, 45], [0, 2047], list(range(0, 2048, 16))):
            assert_the_same(await client.label_choices(roots, labels), await client.label_probs(roots, labels), 2e-3)


async def test_a_choice_of_a_trained_model_is_the_labels_probabilities_renormalised(
    live_endpoint_smollm2_float32: Path,
) -> None:
    async with AsyncPolicyClient.from_endpoint(live_endpoint_smollm2_float32) as client:
        roots = [await client.root(text) for text in ("Is 2 + 2 = 4?", "Tom has 3 boxes of 4 apples. Has he 12?")]
        for labels in ["+", "-"], ["Yes", "No"], [100, 29_000, 48_000]:
            assert_the_same(await client.label_choices(roots, labels), await client.label_probs(roots, labels), 1e-4)


async def test_a_choice_computes_a_prompt_once_and_nothing_but_the_prompt(live_endpoint: Path) -> None:
    async with AsyncPolicyClient.from_endpoint(live_endpoint) as client:
        await client.flush_cache()
        parent = await client.prefix([5, 6, 7, 8] * 100)
        siblings = [parent.child([place] * 20, "x" * 20) for place in (40, 50, 60, 70)]
        children = [each.child([90] * 10, "y" * 10) for each in siblings]
        before = await client.metrics()
        await client.label_choices(siblings, [43, 45])
        await client.label_choices(children, [43, 45])
        async with asyncio.timeout(30):  # the counters of a step are published after its reply
            while (computed := (await client.metrics()).since(before)).reused_tokens < 4 * 400 + 4 * 420:
                pass
    assert computed.prefilled_tokens == 400 + 4 * 20 + 4 * 10


async def test_label_probabilities_beside_other_calls_leave_the_server_alive(live_endpoint: Path) -> None:
    async with AsyncPolicyClient.from_endpoint(live_endpoint, timeout=120) as client:
        root = await client.prefix("Beside other calls.")
        (alone,) = await client.label_probs([root], [43, 45])
        assert isinstance(alone, LabelProbs)

        async def judge() -> None:
            (outcome,) = await client.label_probs([root], [43, 45])
            assert isinstance(outcome, LabelProbs)
            assert outcome.logprobs == pytest.approx(alone.logprobs, abs=1e-4)
            (choice,) = await client.label_choices([root], [43, 45])
            assert isinstance(choice, LabelChoice)
            assert choice.probs == pytest.approx(alone.probs, abs=2e-3)

        async def write(place: int) -> None:
            start = await client.prefix(f"{place} other text")
            await client.expand(start, n=2, sampling=SamplingParams(max_new_tokens=8), logprobs=place % 2 == 0)

        for _ in range(10):
            await asyncio.gather(*(judge() for _ in range(4)), *map(write, range(4)))
        assert await client.health()


async def test_a_long_cold_prefix_is_computed_once_for_all_its_labels(live_endpoint: Path) -> None:
    async with AsyncPolicyClient.from_endpoint(live_endpoint) as client:
        await client.flush_cache()
        parent = await client.prefix([5, 6, 7, 8] * 100)
        siblings = [parent.child([place] * 20, "x" * 20) for place in (40, 50, 60, 70)]
        before = await client.metrics()
        await client.label_probs(siblings, [43, 45])
        async with asyncio.timeout(30):  # the counters of a step are published after its reply
            while (computed := (await client.metrics()).since(before)).reused_tokens < 8 * 400:
                pass
    # 400 once; then 4 siblings x 2 labels x (20 of their own + the label), and the parent's last token no more.
    assert computed.prefilled_tokens == 400 + 8 * 21
