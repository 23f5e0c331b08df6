"""REBASE's allocation: the published rule, without its overshoot."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ets_client.search import rebase_allocation
from ets_client.search.methods import beam_allocation

LEVEL_A = [0.92, 0.90, 0.71, 0.55, 0.54, 0.30, 0.12, 0.05]
LEVEL_B = [0.90, 0.88, 0.40, 0.20, 0.85, 0.30, 0.82]
SCORES = st.lists(st.floats(-50, 50), min_size=1, max_size=40)


@pytest.mark.parametrize(
    ("scores", "width", "children"),
    [
        (LEVEL_A, 4, [2, 2, 0, 0, 0, 0, 0, 0]),
        (LEVEL_A, 8, [4, 3, 1, 0, 0, 0, 0, 0]),
        (LEVEL_A, 16, [7, 5, 2, 1, 1, 0, 0, 0]),
        (LEVEL_B, 16, [5, 4, 0, 0, 4, 0, 3]),
        ([0.5] * 5, 16, [4, 3, 3, 3, 3]),
    ],
)
def test_it_agrees_with_the_original_where_that_does_not_overshoot(
    scores: list[float], width: int, children: list[int]
) -> None:
    assert rebase_allocation(scores, width, 0.2) == children


@given(SCORES, st.integers(0, 300), st.floats(0.01, 10))
@example([0.0, 0.0, 1.5e-179, -5.5e-11], 288, 1.0)
def test_exactly_the_width_is_shared_out(scores: list[float], width: int, temperature: float) -> None:
    children = rebase_allocation(scores, width, temperature)
    assert sum(children) == width
    assert min(children) >= 0


@given(SCORES, st.integers(0, 300), st.floats(0.05, 10))
@example([0.0, 0.0, 1.5e-179, -5.5e-11], 288, 1.0)  # shares of 72.00000000099 and 72.0000000013
def test_a_better_node_never_gets_fewer_children(scores: list[float], width: int, temperature: float) -> None:
    children = rebase_allocation(scores, width, temperature)
    for score, count in zip(scores, children, strict=True):
        assert all(more >= count for other, more in zip(scores, children, strict=True) if other > score)


def test_a_node_without_a_real_score_gets_nothing_while_another_has_one() -> None:
    assert rebase_allocation([-math.inf, 0.1, math.nan], 4, 0.2) == [0, 4, 0]


def test_nodes_at_infinity_share_all_of_it() -> None:
    assert rebase_allocation([0.9, math.inf, math.inf, math.nan], 5, 0.2) == [0, 3, 2, 0]


def test_what_is_no_number_is_as_bad_as_minus_infinity() -> None:
    assert beam_allocation([math.nan, 1.0, -math.inf, 2.0], 4, 2) == [0, 2, 0, 2]


def test_without_any_real_score_all_are_served_alike() -> None:
    assert rebase_allocation([-math.inf, math.nan], 4, 0.2) == [2, 2]


def test_no_nodes_get_no_children() -> None:
    assert rebase_allocation([], 4, 0.2) == []


@pytest.mark.parametrize(("width", "temperature"), [(-1, 0.2), (4, 0.0), (4, -1.0), (4, math.nan)])
def test_a_width_or_temperature_out_of_range_is_refused(width: int, temperature: float) -> None:
    with pytest.raises(ValueError, match="width >= 0 and temperature > 0"):
        rebase_allocation([0.5], width, temperature)
