from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client import ConfigurationError, FailureKind, RetryPolicy
from ets_client._core.retry import AwaitRoom, AwaitServer, Decision, Resend, Stop, Tries, decide

FINAL = [FailureKind.REJECTED, FailureKind.AUTHENTICATION, FailureKind.CRASH, FailureKind.GIVEN_UP]
ONCE_MORE = [FailureKind.FAULT, FailureKind.BAD_REPLY]
LOST = [FailureKind.CONNECT, FailureKind.DISCONNECT, FailureKind.NO_REPLY]


def after(
    kind: FailureKind,
    counted: int = 1,
    *,
    policy: RetryPolicy | None = None,
    is_stale: bool = False,
    has_answered: bool = True,
    stale: int = 0,
    fraction: float = 0.5,
) -> Decision:
    return decide(
        policy or RetryPolicy(attempts=100),
        kind,
        is_stale=is_stale,
        has_answered=has_answered,
        tries=Tries(counted, stale),
        fraction=fraction,
    )


def test_each_kind_of_failure_has_a_rule() -> None:
    assert sorted([*FINAL, *ONCE_MORE, *LOST, FailureKind.BUSY]) == sorted(FailureKind)


@pytest.mark.parametrize("kind", FINAL)
def test_what_repeating_cannot_help_is_not_repeated(kind: FailureKind) -> None:
    assert after(kind) == Stop()


@pytest.mark.parametrize("kind", ONCE_MORE)
def test_a_fault_is_tried_once_more_at_the_cost_of_the_budget(kind: FailureKind) -> None:
    assert after(kind) == Resend(0.25, is_charged=True)
    assert after(kind, 2) == Stop()


@pytest.mark.parametrize("kind", LOST)
def test_a_lost_server_is_waited_for(kind: FailureKind) -> None:
    assert after(kind) == AwaitServer(0.25, is_charged=kind is not FailureKind.CONNECT)
    assert after(kind, 100) == Stop()


@pytest.mark.parametrize("kind", LOST)
def test_a_server_that_never_answered_is_tried_as_often_as_the_policy_says_and_not_waited_for(
    kind: FailureKind,
) -> None:
    assert isinstance(after(kind, 99, has_answered=False), Resend)
    assert after(kind, 100, has_answered=False) == Stop()


def test_a_full_server_is_waited_for_however_often_it_was() -> None:
    assert after(FailureKind.BUSY, 10**6) == AwaitRoom()


def test_a_stale_connection_is_replaced_at_once_and_free_the_first_time() -> None:
    assert after(FailureKind.DISCONNECT, 0, is_stale=True, stale=1) == Resend(0.0, is_charged=False)
    assert isinstance(after(FailureKind.DISCONNECT, 1, is_stale=True, stale=2), AwaitServer)


@pytest.mark.parametrize("kind", [*ONCE_MORE, *LOST, FailureKind.BUSY])
def test_one_attempt_means_no_retry_but_for_a_stale_connection(kind: FailureKind) -> None:
    policy = RetryPolicy(attempts=1)
    assert after(kind, policy=policy) == Stop()
    assert after(FailureKind.DISCONNECT, 0, policy=policy, is_stale=True, stale=1) == Resend(0.0, is_charged=False)


def test_the_longest_wait_doubles_up_to_its_limit() -> None:
    policy = RetryPolicy(attempts=99, first_wait=0.5, most_wait=3.0)
    waits = [after(FailureKind.DISCONNECT, counted, policy=policy) for counted in range(6)]
    assert [wait.wait for wait in waits if isinstance(wait, AwaitServer)] == [0.25, 0.25, 0.5, 1.0, 1.5, 1.5]


@given(
    counted=st.integers(0, 10**6),
    fraction=st.floats(0, 1, exclude_max=True),
    first=st.floats(0, 1e3),
    more=st.floats(0, 1e3),
    kind=st.sampled_from(FailureKind),
)
def test_a_wait_is_never_negative_and_never_above_the_limit(
    counted: int, fraction: float, first: float, more: float, kind: FailureKind
) -> None:
    policy = RetryPolicy(attempts=10**7, first_wait=first, most_wait=first + more)
    decision = after(kind, counted, policy=policy, fraction=fraction)
    assert not isinstance(decision, Resend | AwaitServer) or 0 <= decision.wait <= policy.most_wait


@pytest.mark.parametrize(
    "fields",
    [
        {"attempts": 0},
        {"first_wait": -1.0},
        {"first_wait": 9.0, "most_wait": 8.0},
        {"first_wait": float("nan")},
        {"patience": -1.0},
        {"patience": float("nan")},
        {"least_attempt": 0.0},
    ],
)
def test_an_impossible_policy_is_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(fields))):
        RetryPolicy(**fields)  # type: ignore[arg-type]
