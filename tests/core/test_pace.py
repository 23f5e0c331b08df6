from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ets_client._core.pace import Pace, Work

STEP = Work(samples=8, new_tokens=99, prompt_tokens=0)  # 100 decode steps


def test_nothing_is_hurried_before_the_server_is_known() -> None:
    assert Pace(10.0).limit(STEP, 8, 0) == 220.0


def test_an_attempt_gets_several_times_what_such_attempts_took() -> None:
    pace = Pace(0.001)
    pace.took(STEP, 8, 1.0)
    assert pace.limit(STEP, 8, 0) == 4.0
    assert pace.limit(Work(8, 199), 8, 0) == 8.0


def test_a_short_step_tells_what_a_long_one_takes() -> None:
    pace = Pace(0.001)
    pace.took(Work(1, 9), 1, 1.0)
    assert pace.limit(Work(1, 99), 1, 0) == 40.0


def test_a_burst_gets_more_time_than_one_alone_did() -> None:
    pace = Pace(0.001)
    pace.took(STEP, 1, 1.0)
    assert pace.limit(STEP, 100, 0) == 400.0


def test_one_alone_after_a_burst_gets_what_the_burst_took() -> None:
    pace = Pace(0.001)
    pace.took(STEP, 100, 1.0)
    assert pace.limit(STEP, 1, 0) == 4.0


def test_what_was_lost_in_a_crowd_is_missed_soon_after_the_crowd_has_gone() -> None:
    pace = Pace(0.001)
    for _ in range(300):
        pace.took(STEP, 300, 1.0)
    for _ in range(5):
        pace.took(STEP, 1, 0.9)
        assert 3.9 < pace.limit(STEP, 300, 0) < 4.5


@given(alone=st.integers(0, 1000))
def test_a_crowd_that_is_long_ago_counts_no_more_than_how_slow_it_was(alone: int) -> None:
    pace = Pace(0.0)
    pace.took(STEP, 300, 3.0)
    for _ in range(alone):
        pace.took(STEP, 1, 0.01)
    assert pace.limit(STEP, 300, 0) >= 11.9


def test_a_long_prompt_gets_time_too() -> None:
    pace = Pace(0.001)
    pace.took(STEP, 1, 1.0)
    assert pace.limit(Work(1, 99, 1600), 1, 0) == 8.0


def test_an_attempt_that_was_given_up_doubles_the_next_ones_time_and_teaches_the_others() -> None:
    pace = Pace(0.001)
    pace.took(STEP, 1, 1.0)
    assert pace.limit(STEP, 1, 1) == 8.0
    pace.took(STEP, 1, pace.limit(STEP, 1, 0))
    assert pace.limit(STEP, 1, 0) == 16.0


def test_a_slow_time_is_forgotten() -> None:
    pace = Pace(0.001)
    pace.took(STEP, 1, 100.0)
    for _ in range(500):
        pace.took(STEP, 1, 1.0)
    assert 4.0 <= pace.limit(STEP, 1, 0) < 4.1


@given(
    least=st.floats(0.01, 100),
    seen=st.lists(st.tuples(st.integers(0, 4096), st.integers(1, 4096), st.floats(0, 1e4)), max_size=20),
    asked=st.integers(0, 4096),
    in_flight=st.integers(1, 10**5),
    tries=st.integers(0, 1000),
)
def test_a_limit_is_finite_and_never_under_the_least(
    least: float, seen: list[tuple[int, int, float]], asked: int, in_flight: int, tries: int
) -> None:
    pace = Pace(least)
    for tokens, others, seconds in seen:
        pace.took(Work(1, tokens), others, seconds)
    assert least <= pace.limit(Work(1, asked), in_flight, tries) < float("inf")


def test_what_is_expected_is_the_slowest_pace_seen_and_unknown_before() -> None:
    pace = Pace(1.0)
    assert pace.expected(Work(1, 1), 1) is None
    pace.took(Work(1, 9), 1, 20.0)
    assert pace.expected(Work(1, 1, 160), 1) == 2.0 * 12
    assert pace.limit(Work(1, 1, 160), 1, 0) == 4 * 2.0 * 12
