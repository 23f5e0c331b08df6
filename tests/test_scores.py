from __future__ import annotations

import asyncio
import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client import (
    AsyncPolicyClient,
    ConfigurationError,
    InvalidRequestError,
    LabelChoice,
    LabelProbs,
    Origin,
    Prefix,
    RetryPolicy,
    RewardScore,
    SamplingParams,
    ScoreFailure,
)
from ets_client.testing import FakeOptions, FakeServer, Version
from tests.judge import Judge

LOGPROBS = st.floats(max_value=0, allow_nan=False)


@given(st.lists(LOGPROBS, min_size=1, max_size=6).filter(lambda values: max(values) > -math.inf))
def test_probabilities_add_up_to_1_and_keep_their_order(logprobs: list[float]) -> None:
    probs = LabelProbs(tuple(range(len(logprobs))), tuple(logprobs)).probs
    assert math.fsum(probs) == pytest.approx(1.0)
    assert all(0 <= value <= 1 for value in probs)
    ranked = sorted(range(len(logprobs)), key=logprobs.__getitem__)
    assert all(probs[low] <= probs[high] for low, high in itertools.pairwise(ranked))


@pytest.mark.parametrize(
    ("logprobs", "probs"),
    [
        ((math.log(0.3), math.log(0.1)), (0.75, 0.25)),
        ((-1000.0, -1000.0), (0.5, 0.5)),
        ((-3.4e38, -1.0), (0.0, 1.0)),
        ((-math.inf, -1.0), (0.0, 1.0)),
    ],
)
def test_probabilities_are_those_among_the_labels(logprobs: tuple[float, ...], probs: tuple[float, ...]) -> None:
    assert LabelProbs((1, 2), logprobs).probs == pytest.approx(probs)


def test_the_value_of_a_reward_model_is_its_only_output() -> None:
    assert RewardScore((-1.5,)).value == -1.5
    with pytest.raises(ValueError, match=r"2 outputs, \(1.0, 2.0\)"):
        _ = RewardScore((1.0, 2.0)).value


def logprobs_of(outcome: LabelProbs | ScoreFailure) -> tuple[float, ...]:
    assert isinstance(outcome, LabelProbs)
    return outcome.logprobs


class TestLabelProbs:
    async def test_a_whole_batch_is_one_request_and_all_probabilities_add_up(self) -> None:
        async with FakeServer() as server, AsyncPolicyClient(server.base_url, "tiny") as client:
            roots = [await client.prefix(text) for text in ("One step.", "Another one, and longer.")]
            parts = [await client.label_probs(roots, range(start, start + 256)) for start in range(0, 2048, 256)]
            before = server.count("/generate")
            some = await client.label_probs(roots, ["+", "-"])
            assert server.count("/generate") == before + 1
            plus, minus = [(await client.tokenize(label))[0] for label in "+-"]
        for place, outcome in enumerate(some):
            whole = [value for part in parts for value in logprobs_of(part[place])]
            assert math.fsum(map(math.exp, whole)) == pytest.approx(1.0)
            assert outcome == LabelProbs((plus, minus), (whole[plus], whole[minus]))

    async def test_each_score_says_what_it_cost_and_all_of_them_what_the_server_counted(self) -> None:
        async with FakeServer() as server, AsyncPolicyClient(server.base_url, "tiny") as client:
            paths = [await client.prefix([5] * length) for length in (6, 9)]
            for _ in range(2):
                before = dict(server.scheduler.counts)
                outcomes = [
                    *await client.label_probs(paths, ["+", "-"]),
                    *await client.label_choices(paths, ["+", "-"]),
                ]
                usages = [outcome.usage for outcome in outcomes if not isinstance(outcome, ScoreFailure)]
                assert [usage.prompt_tokens for usage in usages] == [14, 20, 6, 9]
                computed = server.scheduler.counts["prefill_compute"] - before.get("prefill_compute", 0)
                assert sum(usage.computed_tokens for usage in usages) == computed

    async def test_branches_are_judged_by_their_whole_path(self) -> None:
        async with FakeServer() as server, AsyncPolicyClient(server.base_url, "tiny") as client:
            branch = await client.generate("Judge this.")
            assert await client.label_probs([branch], [5, 6]) == await client.label_probs([branch.prefix], [5, 6])

    async def test_a_path_that_is_too_long_has_a_failure_for_a_score(self) -> None:
        async with FakeServer() as server, AsyncPolicyClient(server.base_url, "tiny") as client:
            short = await client.prefix("Short.")
            first, second = await client.label_probs([short.child([40] * 2050, "x" * 2050), short], [5])
        assert isinstance(first, ScoreFailure)
        assert isinstance(second, LabelProbs)

    async def test_a_path_of_another_model_is_refused(self) -> None:
        async with FakeServer() as server, AsyncPolicyClient(server.base_url, "tiny") as client:
            with pytest.raises(InvalidRequestError, match="belongs to tokenizer"):
                await client.label_probs([Prefix([1], "x", origin=Origin("other"))], [5])
            assert server.count("/generate") == 0

    @pytest.mark.parametrize("version", ["0.5.14", "0.5.18", "0.5.23"])
    async def test_it_may_share_a_server_with_any_other_call(self, version: Version) -> None:
        async with (
            FakeServer(FakeOptions(version=version)) as server,
            AsyncPolicyClient(server.base_url, "tiny", retry=RetryPolicy(attempts=1)) as client,
        ):
            root = await client.prefix("Beside others.")
            (alone,) = await client.label_probs([root], ["+", "-"])
            sampling = SamplingParams(max_new_tokens=20, ignore_eos=True)
            writing = [asyncio.create_task(client.expand(f"{place}", 2, sampling)) for place in range(8)]
            judged = await asyncio.gather(*(client.label_probs([root], ["+", "-"]) for _ in range(8)))
            await asyncio.gather(*writing)
            assert judged == [[alone]] * 8
            assert server.died is None

    async def test_a_cold_parent_is_computed_once_for_all_siblings_and_labels(self) -> None:
        async with FakeServer() as server, AsyncPolicyClient(server.base_url, "tiny") as client:
            parent = await client.prefix([5, 6, 7, 8] * 100)
            siblings = [parent.child([place] * 20, "x" * 20) for place in range(40, 48)]
            await asyncio.gather(*(client.label_probs([each], ["+", "-"]) for each in siblings))
            await client.label_probs(siblings, ["+", "-"])
            rows, scheduler = 16, server.scheduler
            # The parent; each sibling's own tokens and the label in its rows; the last token and the label once warm.
            assert scheduler.counts["prefill_compute"] == 400 + rows * 21 + rows * 2

    async def test_a_reward_model_is_not_asked_for_tokens(self) -> None:
        async with (
            FakeServer(FakeOptions(reward_outputs=1)) as server,
            AsyncPolicyClient(server.base_url, "tiny") as client,
        ):
            root = await client.prefix("Judge this.")
            with pytest.raises(ConfigurationError, match="ask this one for reward_scores"):
                await client.label_probs([root], ["+", "-"])
            assert server.count("/generate") == 0


class TestLabelsThatDiffer:
    @pytest.mark.parametrize("labels", [("+", "-"), ("-", "+")])
    async def test_each_label_has_its_own_share_and_each_prefix_its_own(self, labels: tuple[str, str]) -> None:
        async with FakeServer(model=Judge()) as server, AsyncPolicyClient(server.base_url, "tiny") as client:
            roots = [await client.prefix(f"{word}\n") for word in ("One step.", "Another one.", "A third", "7", "8")]
            shares = [Judge.share(root.token_ids) for root in roots]
            assert len(set(shares)) > 2
            expected = shares if labels[0] == "+" else [1 - share for share in shares]
            for outcomes in (await client.label_choices(roots, labels), await client.label_probs(roots, labels)):
                found = [outcome.probs[0] for outcome in outcomes if not isinstance(outcome, ScoreFailure)]
                assert found == [pytest.approx(share, abs=1e-5) for share in expected]


class TestLabelChoices:
    async def test_a_batch_is_one_request_and_a_choice_is_the_labels_probabilities_renormalised(self) -> None:
        async with FakeServer() as server, AsyncPolicyClient(server.base_url, "tiny") as client:
            roots = [await client.prefix(text) for text in ("One step.", "Another one, and longer.")]
            for labels in (["+", "-"], [5, 2047, 40], list(range(0, 2048, 16))):
                before = server.count("/generate")
                choices = await client.label_choices(roots, labels)
                assert server.count("/generate") == before + 1
                for choice, probs in zip(choices, await client.label_probs(roots, labels), strict=True):
                    assert isinstance(choice, LabelChoice)
                    assert isinstance(probs, LabelProbs)
                    assert choice.token_ids == probs.token_ids
                    assert choice.probs == pytest.approx(probs.probs)

    @pytest.mark.parametrize("version", ["0.5.14", "0.5.18", "0.5.23"])
    async def test_it_may_share_a_server_with_any_other_call(self, version: Version) -> None:
        async with (
            FakeServer(FakeOptions(version=version)) as server,
            AsyncPolicyClient(server.base_url, "tiny", retry=RetryPolicy(attempts=1)) as client,
        ):
            root = await client.prefix("Beside others.")
            sampling = SamplingParams(max_new_tokens=20, ignore_eos=True)
            writing = [asyncio.create_task(client.expand(f"{place}", 2, sampling)) for place in range(8)]
            judged = await asyncio.gather(*(client.label_choices([root], ["+", "-"]) for _ in range(8)))
            await asyncio.gather(*writing, client.label_probs([root], ["+", "-"]))
            assert judged == [judged[0]] * 8
            assert server.died is None

    async def test_nothing_but_the_prompts_is_computed_and_a_cold_parent_once(self) -> None:
        async with FakeServer() as server, AsyncPolicyClient(server.base_url, "tiny") as client:
            parent = await client.prefix([5, 6, 7, 8] * 100)
            siblings = [parent.child([place] * 20, "x" * 20) for place in range(40, 48)]
            await client.label_choices(siblings, ["+", "-"])
            await client.label_choices([each.child([9] * 5, "y") for each in siblings], ["+", "-"])
            assert server.scheduler.counts["prefill_compute"] == 400 + 8 * 20 + 8 * 5

    async def test_a_reward_model_is_not_asked_for_tokens(self) -> None:
        async with (
            FakeServer(FakeOptions(reward_outputs=1)) as server,
            AsyncPolicyClient(server.base_url, "tiny") as client,
        ):
            root = await client.prefix("Judge this.")
            with pytest.raises(ConfigurationError, match="ask this one for reward_scores"):
                await client.label_choices([root], ["+", "-"])
            assert server.count("/generate") == 0


class TestRewardScores:
    async def test_a_batch_is_one_request_and_its_scores_are_in_order(self) -> None:
        async with (
            FakeServer(FakeOptions(reward_outputs=1)) as server,
            AsyncPolicyClient(server.base_url, "tiny") as client,
        ):
            roots = [await client.prefix(text, namespace="tree") for text in ("One step.", "Another one, and longer.")]
            scores = await client.reward_scores([*roots, roots[0]])
            assert server.count("/classify") == 1
            assert await client.reward_scores([]) == []
        assert scores[0] == scores[2] != scores[1]
        assert all(isinstance(score, RewardScore) and math.isfinite(score.value) for score in scores)

    async def test_all_outputs_of_a_classifier_are_given(self) -> None:
        async with (
            FakeServer(FakeOptions(reward_outputs=3)) as server,
            AsyncPolicyClient(server.base_url, "tiny") as client,
        ):
            (score,) = await client.reward_scores([await client.prefix("One step.")])
        assert isinstance(score, RewardScore)
        assert len(set(score.values)) == 3

    async def test_a_path_that_is_too_long_has_a_failure_for_a_score(self) -> None:
        async with (
            FakeServer(FakeOptions(reward_outputs=1)) as server,
            AsyncPolicyClient(server.base_url, "tiny") as client,
        ):
            short = await client.prefix("Short.")
            first, second = await client.reward_scores([short.child([40] * 2050, "x" * 2050), short])
        assert isinstance(first, ScoreFailure)
        assert isinstance(second, RewardScore)

    async def test_a_policy_is_not_asked(self) -> None:
        async with FakeServer() as server, AsyncPolicyClient(server.base_url, "tiny") as client:
            with pytest.raises(ConfigurationError, match=r"a generation model, fake-model \(FakeForCausalLM\)"):
                await client.reward_scores([await client.prefix("One step.")])
            assert server.count("/classify") == 0

    async def test_a_server_of_a_reward_model_answers_everything_else(self) -> None:
        async with (
            FakeServer(FakeOptions(reward_outputs=1, health_seconds=0.01)) as server,
            AsyncPolicyClient(server.base_url) as client,
        ):
            assert not client.capabilities.is_generation
            assert client.capabilities.has_reward_head
            assert await client.health()
            await client.flush_cache()
            with pytest.raises(ConfigurationError, match="generates no text"):
                await client.expand("One step.")
            assert server.died is None
