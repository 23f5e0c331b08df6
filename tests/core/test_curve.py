from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client._core.curve import MEMORY, Curve


def curve(*rounds: tuple[float, float]) -> Curve:
    made = Curve()
    for in_flight, rate in rounds:
        made.record(in_flight, rate)
    return made


def test_the_knee_is_the_fewest_that_give_the_share_of_the_best() -> None:
    known = curve((32, 500), (64, 900), (128, 980), (256, 1000))
    assert [known.knee(share) for share in (0.4, 0.9, 0.97, 1.0)] == [32, 64, 128, 256]


def test_more_samples_that_bring_less_are_beyond_the_knee() -> None:
    assert curve((64, 1000), (128, 700)).knee(1.0) == 64


def test_without_a_round_there_is_no_knee() -> None:
    with pytest.raises(ValueError, match="empty"):
        Curve().knee(0.9)


@given(st.floats(0.2, 5.0))
def test_drift_at_one_level_does_not_change_the_proportion_of_levels(drift: float) -> None:
    known = curve((32, 500), (64, 1000), (64, 1000 * drift))
    assert (known.knee(0.49), known.knee(0.51)) == (32, 64)


def test_a_level_that_is_visited_again_changes_its_proportion() -> None:
    known = curve((32, 990), (64, 1000))
    assert known.knee(0.95) == 32
    for _ in range(8):
        known.record(32, 500)
        known.record(64, 1000)
    assert known.knee(0.95) == 64


def test_a_level_not_seen_for_long_is_forgotten() -> None:
    known = curve((32, 1000), *[(64, 1000.0)] * (MEMORY - 1))
    assert known.knee(0.9) == 32
    known.record(64, 1000)
    assert known.knee(0.9) == 64
