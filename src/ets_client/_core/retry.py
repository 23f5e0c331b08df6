"""Whether a failed attempt is repeated, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import FailureKind

if TYPE_CHECKING:
    from ..retry import RetryPolicy

__all__ = ["delay_before_retry"]

_TRIES_OF_A_FAULT = 2  # a fault that comes back at once is not transient
_FINAL = frozenset({FailureKind.REJECTED, FailureKind.AUTHENTICATION, FailureKind.CRASH, FailureKind.GIVEN_UP})
_ONCE_MORE = frozenset({FailureKind.FAULT, FailureKind.BAD_REPLY})


def delay_before_retry(policy: RetryPolicy, kind: FailureKind, tries: int, fraction: float) -> float | None:
    """Decide after a failed try.

    Args:
        policy: the limits.
        kind: how the last try failed.
        tries: how many tries there were, the last included, >= 1.
        fraction: a random number in [0, 1): the jitter.

    Returns:
        Seconds to wait before the next try, or None when there shall be none.
    """
    if kind in _FINAL:
        return None
    allowed = min(policy.attempts, _TRIES_OF_A_FAULT) if kind in _ONCE_MORE else policy.attempts
    if tries >= allowed:
        return None
    exponent = min(tries - 1, 64)  # 2.0 ** 1024 overflows; no policy waits this long
    return fraction * min(policy.most_wait, policy.first_wait * 2.0**exponent)
