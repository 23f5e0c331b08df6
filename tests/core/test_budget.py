from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ets_client._core.budget import RetryBudget


def test_a_small_reserve_is_there_from_the_start() -> None:
    budget = RetryBudget()
    assert [budget.take(0.0) for _ in range(11)] == [True] * 10 + [False]


def test_ten_calls_earn_one_resend() -> None:
    budget = RetryBudget()
    while budget.take(0.0):
        pass
    for _ in range(11):  # ten tenths are a little less than one in binary
        budget.earn()
    assert budget.take(0.0)
    assert not budget.take(0.0)


def test_a_lone_caller_gets_on_by_waiting() -> None:
    budget = RetryBudget()
    while budget.take(0.0):
        pass
    assert not budget.take(1.0)
    assert budget.take(2.0)
    assert not budget.take(2.1)


def test_a_long_quiet_run_saves_no_storm() -> None:
    budget = RetryBudget()
    for _ in range(10**5):
        budget.earn()
    assert budget.tokens < 101


@given(st.lists(st.sampled_from(["call", "resend", "second"]), max_size=2000))
def test_resends_never_exceed_a_tenth_of_the_calls_the_reserve_and_one_in_two_seconds(steps: list[str]) -> None:
    budget, now, calls, resends = RetryBudget(), 0.0, 0, 0
    for step in steps:
        if step == "call":
            calls += 1
            budget.earn()
        elif step == "second":
            now += 1.0
        else:
            resends += budget.take(now)
    assert resends <= 10 + 0.1 * calls + 0.5 * now + 1e-6
