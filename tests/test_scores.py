from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client import AsyncPolicyClient, InvalidRequestError, LabelProbs, Origin, Prefix, ScoreFailure
from ets_client.testing import FakeServer

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


class TestLabelProbs:
    async def test_a_whole_batch_is_one_request_and_all_probabilities_add_up(self) -> None:
        async with FakeServer() as server, AsyncPolicyClient(server.base_url, "tiny") as client:
            roots = [await client.prefix(text) for text in ("One step.", "Another one, and longer.")]
            everything = await client.label_probs(roots, range(2048))
            assert server.count("/generate") == 1
            some = await client.label_probs(roots, ["+", "-"])
            plus, minus = [(await client.tokenize(label))[0] for label in "+-"]
        for whole, outcome in zip(everything, some, strict=True):
            assert isinstance(whole, LabelProbs)
            assert math.fsum(map(math.exp, whole.logprobs)) == pytest.approx(1.0)
            assert outcome == LabelProbs((plus, minus), (whole.logprobs[plus], whole.logprobs[minus]))

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
