"""Choices among the first n answers, against plain loops."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ets_client.search.evaluate.candidates import INVALID, Aggregation, Candidate
from ets_client.search.evaluate.rules import Rule, published_choices
from ets_client.search.evaluate.votes import (
    Vote,
    chosen_best,
    chosen_by_vote,
    published_best,
    published_vote,
    sizes,
    subsets,
)


class Answers(NamedTuple):
    classes: list[int]
    scores: list[float]
    order: list[int]
    n: int


@st.composite
def answers(draw: st.DrawFn) -> Answers:
    count = draw(st.integers(1, 12))
    classes = draw(st.lists(st.integers(0, 4), min_size=count, max_size=count))
    score = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, math.nan])  # sums of these are exact
    scores = draw(st.lists(score, min_size=count, max_size=count))
    return Answers(classes, scores, draw(st.permutations(range(count))), draw(st.integers(1, count + 2)))


def choices(case: Answers) -> tuple[int, int]:
    arrays = np.array(case.classes), np.array(case.scores), np.array([case.order])
    return int(chosen_best(*arrays, [case.n])[0][0]), int(chosen_by_vote(*arrays, [case.n])[0][0])


@given(answers())
def test_choices_are_those_of_plain_loops(case: Answers) -> None:
    best, top = -1, -math.inf
    totals: dict[int, float] = {}
    for place in case.order[: case.n]:
        score = case.scores[place]
        totals.setdefault(case.classes[place], 0.0)
        if not math.isnan(score):
            totals[case.classes[place]] += score
            if score > top:
                best, top = case.classes[place], score
    winner = max(totals, key=lambda each: totals[each])
    assert choices(case) == (best, winner if totals[winner] > 0 else -1)


def test_the_first_among_equals_wins() -> None:
    assert choices(Answers([2, 1, 1, 2], [0.5] * 4, [0, 1, 2, 3], 4)) == (2, 2)
    assert choices(Answers([2, 1, 1, 2], [0.5] * 4, [1, 0, 2, 3], 4)) == (1, 1)


def test_without_answers_nothing_is_chosen() -> None:
    none, orders = np.array([], dtype=np.int64), np.zeros((3, 0), dtype=np.int64)
    for choose in (chosen_best, chosen_by_vote):
        assert [each.tolist() for each in choose(none, none.astype(float), orders, [1, 4])] == [[-1] * 3] * 2


def test_sizes_are_powers_of_two_up_to_the_most() -> None:
    assert sizes(0) == []
    assert sizes(1) == [1]
    assert sizes(17) == [1, 2, 4, 8, 16]


def test_subsets_are_the_order_of_arrival_or_random_orders() -> None:
    generator = np.random.default_rng(3)
    assert subsets(4, 0, generator).tolist() == [[0, 1, 2, 3]]
    drawn = subsets(6, 50, generator)
    assert drawn.shape == (50, 6)
    assert all(sorted(row) == [0, 1, 2, 3, 4, 5] for row in drawn.tolist())
    assert len({tuple(row) for row in drawn.tolist()}) > 20
    again = np.random.default_rng(3)
    subsets(4, 0, again)
    assert (subsets(6, 50, again) == drawn).all()


def same(one: str, two: str) -> bool:
    return one.casefold() == two.casefold()


def test_the_published_vote_lets_what_it_cannot_read_win() -> None:
    assert published_vote([INVALID, INVALID, "7"], [1.0, 1.0, 1.0], same) == INVALID


def test_the_published_vote_wants_strictly_more_to_change_the_leader() -> None:
    assert published_vote(["7", "8"], [0.5, 0.5], same) == "7"
    assert published_vote(["7", "8", "8"], [0.5, 0.3, 0.2], same) == "7"
    assert published_vote(["7", "8", "8"], [0.5, 0.3, 0.25], same) == "8"


def test_the_published_vote_names_the_winner_by_the_answer_that_took_it_there() -> None:
    assert published_vote(["east", "EAST"], [0.5, 0.5], same) == "EAST"
    assert published_vote(["east", "EAST"], [0.5, 0.0], same) == "east"


def test_nothing_at_or_below_zero_wins_the_published_vote() -> None:
    assert published_vote(["7", "8"], [0.0, -1.0], same) is None
    assert published_vote([], [], same) is None


def test_the_published_evaluator_takes_missing_scores_for_0_but_for_its_min_which_begins_at_1() -> None:
    holed, whole = Candidate("r.0.0.0", "7", (0.9, None, 0.8)), Candidate("r.1.0.0", "8", (0.7, 0.7, 0.7))
    choices = published_choices([holed, whole], same)
    assert {rule.aggregation: choices[rule] for rule in choices if rule.vote is Vote.BEST} == {
        Aggregation.LAST: "7",  # 0.8 and 0.7
        Aggregation.MIN: "7",  # 0.8, the missing one passed over, and 0.7
        Aggregation.MEAN: "8",  # 0.57 and 0.7
        Aggregation.PROD: "8",  # 0 and 0.34
    }
    high, higher = Candidate("r.0", "7", (3.0,)), Candidate("r.1", "8", (4.0,))
    assert published_choices([high, higher], same)[Rule(Vote.BEST, Aggregation.MIN)] == "7"  # 1 and 1


def test_the_published_best_is_the_first_with_the_highest_score() -> None:
    assert published_best(["7", INVALID, "9"], [0.2, 0.9, 0.9]) == INVALID
    assert published_best([], []) is None
