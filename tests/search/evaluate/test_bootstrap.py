"""Intervals of accuracies."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client.search.evaluate.bootstrap import bootstrap_interval, bootstrap_intervals


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(0, 9))
def test_an_interval_lies_between_the_extremes_and_repeats_with_its_seed(values: list[float], seed: int) -> None:
    found = bootstrap_interval(values, seed, 200)
    assert found.value == pytest.approx(sum(values) / len(values))
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9
    assert bootstrap_interval(values, seed, 200) == found


def test_without_questions_nothing_is_known() -> None:
    assert all(math.isnan(each) for each in bootstrap_interval([], 0))


def test_rows_see_the_same_resamples() -> None:
    one = [1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0]
    first, second, shifted = bootstrap_intervals([one, one, [each / 2 for each in one]], 5, 400)
    assert first == second
    assert shifted.low == pytest.approx(first.low / 2)


def test_the_interval_is_that_of_the_normal_approximation_where_that_holds() -> None:
    values = [1.0] * 300 + [0.0] * 200
    found = bootstrap_interval(values, 1)
    half = 1.96 * math.sqrt(0.6 * 0.4 / 500)
    assert found.low == pytest.approx(0.6 - half, abs=0.004)
    assert found.high == pytest.approx(0.6 + half, abs=0.004)


def test_ninety_five_of_a_hundred_intervals_hold_the_truth() -> None:
    generator = np.random.default_rng(0)
    held = 0
    for seed in range(300):
        found = bootstrap_interval((generator.random(100) < 0.7).astype(float).tolist(), seed, 500)
        held += found.low <= 0.7 <= found.high
    assert 0.9 <= held / 300 <= 0.98
