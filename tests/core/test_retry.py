from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client import ConfigurationError, FailureKind, RetryPolicy
from ets_client._core.retry import delay_before_retry

FINAL = [FailureKind.REJECTED, FailureKind.AUTHENTICATION, FailureKind.CRASH, FailureKind.GIVEN_UP]
ONCE_MORE = [FailureKind.FAULT, FailureKind.BAD_REPLY]
PATIENT = [FailureKind.CONNECT, FailureKind.DISCONNECT, FailureKind.BUSY]


def test_each_kind_of_failure_has_a_rule() -> None:
    assert sorted([*FINAL, *ONCE_MORE, *PATIENT]) == sorted(FailureKind)


@pytest.mark.parametrize("kind", FINAL)
def test_what_repeating_cannot_help_is_not_repeated(kind: FailureKind) -> None:
    assert delay_before_retry(RetryPolicy(attempts=100), kind, 1, 0.5) is None


@pytest.mark.parametrize("kind", ONCE_MORE)
def test_a_fault_is_tried_once_more(kind: FailureKind) -> None:
    assert delay_before_retry(RetryPolicy(attempts=100), kind, 1, 0.5) is not None
    assert delay_before_retry(RetryPolicy(attempts=100), kind, 2, 0.5) is None
    assert delay_before_retry(RetryPolicy(attempts=1), kind, 1, 0.5) is None


@pytest.mark.parametrize("kind", PATIENT)
def test_a_lost_or_full_server_is_tried_as_often_as_the_policy_says(kind: FailureKind) -> None:
    delays = [delay_before_retry(RetryPolicy(attempts=4), kind, tries, 0.5) for tries in range(1, 6)]
    assert [delay is None for delay in delays] == [False, False, False, True, True]


def test_the_longest_wait_doubles_up_to_its_limit() -> None:
    policy = RetryPolicy(attempts=99, first_wait=0.5, most_wait=3.0)
    delays = [delay_before_retry(policy, FailureKind.BUSY, tries, 0.5) for tries in range(1, 6)]
    assert delays == [0.25, 0.5, 1.0, 1.5, 1.5]


@given(
    tries=st.integers(1, 10**6),
    fraction=st.floats(0, 1, exclude_max=True),
    first=st.floats(0, 1e3),
    more=st.floats(0, 1e3),
    kind=st.sampled_from(FailureKind),
)
def test_a_wait_is_never_negative_and_never_above_the_limit(
    tries: int, fraction: float, first: float, more: float, kind: FailureKind
) -> None:
    policy = RetryPolicy(attempts=10**7, first_wait=first, most_wait=first + more)
    delay = delay_before_retry(policy, kind, tries, fraction)
    assert delay is None or 0 <= delay <= policy.most_wait


@pytest.mark.parametrize(
    "fields",
    [{"attempts": 0}, {"first_wait": -1.0}, {"first_wait": 9.0, "most_wait": 8.0}, {"first_wait": float("nan")}],
)
def test_an_impossible_policy_is_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(fields))):
        RetryPolicy(**fields)  # type: ignore[arg-type]
