"""The answers of a search, and the scores of their paths."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client.search.evaluate.candidates import (
    INVALID,
    Aggregation,
    Scale,
    aggregate,
    answers_of,
    ended_paths_of,
    scale_of,
)
from ets_client.search.methods import NodeState

from ..made_runs import by_hand, made_node


def test_answers_come_in_order_of_arrival_and_as_often_as_they_were_sampled() -> None:
    question = by_hand(
        [
            made_node("r"),
            made_node("r.0", number=1, score=0.5),
            made_node("r.0.0", number=2, answer="7", at=3.0, score=0.1),
            made_node("r.0.1", number=3, answer="8", at=2.0, multiplicity=2, score=None),
            made_node("r.0.2", number=4, answer="9", at=2.0, score=0.3),
            made_node("r.0.3", number=5, at=1.0),
        ]
    )
    assert [(each.node, each.answer, each.step_scores) for each in answers_of(question)] == [
        ("r.0.1", "8", (0.5, None)),
        ("r.0.1", "8", (0.5, None)),
        ("r.0.2", "9", (0.5, 0.3)),
        ("r.0.0", "7", (0.5, 0.1)),
    ]


def test_the_published_evaluator_gets_ended_paths_without_an_answer_too_and_no_commas() -> None:
    question = by_hand(
        [
            made_node("r"),
            made_node("r.0", answer="1,200", state=NodeState.ENDED, at=9.0),
            made_node("r.1", state=NodeState.ENDED, end="eos"),
            made_node("r.2", state=NodeState.SPENT),
        ]
    )
    assert [each.answer for each in ended_paths_of(question)] == ["1200", INVALID]


@pytest.mark.parametrize(
    ("how", "value"),
    [
        (Aggregation.LAST, 0.8),
        (Aggregation.MIN, 0.5),
        (Aggregation.MEAN, 0.65),
        (Aggregation.PROD, pytest.approx(0.5 * 0.65 * 0.8)),
    ],
)
def test_scores_of_steps_become_one(how: Aggregation, value: float) -> None:
    assert aggregate([0.5, 0.65, 0.8], how) == value


def test_a_missing_score_is_missed_by_whom_it_concerns() -> None:
    assert aggregate([None, 0.8], Aggregation.LAST) == 0.8
    assert aggregate([0.8, None], Aggregation.LAST) is None
    for how in (Aggregation.MIN, Aggregation.MEAN, Aggregation.PROD):
        assert aggregate([None, 0.8], how) is None
    assert all(aggregate([], how) is None for how in Aggregation)


def test_scores_are_taken_as_they_are_unless_some_are_negative() -> None:
    assert scale_of([0.0, 3.5, None]) is Scale.RECORDED
    assert scale_of([-0.1, 0.0]) is Scale.EXP
    assert scale_of([-2.0, 1.0]) is Scale.SIGMOID
    assert scale_of([]) is scale_of([None]) is Scale.RECORDED


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=9), st.sampled_from(Aggregation))
def test_a_scaled_score_can_be_a_weight(scores: list[float], how: Aggregation) -> None:
    found = aggregate(scores, how, Scale.SIGMOID)
    assert found is not None
    assert 0 <= found <= 1
    found = aggregate([min(score, 0.0) for score in scores], how, Scale.EXP)
    assert found is not None
    assert 0 <= found <= 1


def test_a_sigmoid_of_a_large_score_does_not_overflow() -> None:
    assert aggregate([-800.0], Aggregation.LAST, Scale.SIGMOID) == pytest.approx(0.0)
    assert aggregate([math.log(3)], Aggregation.LAST, Scale.SIGMOID) == pytest.approx(0.75)
