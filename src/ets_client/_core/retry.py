"""Whether a failed attempt is repeated, when, and at whose cost.

===========================  =====================  =============================================  ========
failure                      the server worked      what follows                                   counted
===========================  =====================  =============================================  ========
idle connection was closed   hardly                 again at once, once a call                     no
no connection                no                     wait until it answers, then again [1]_         yes [2]_
connection broke             perhaps                abort; wait until it answers, then again       yes
no reply in time             probably still         abort; wait until it answers, then again       yes
full (503, 429, …)           no                     wait for room, then again                      no
fault (500), broken reply    yes                    abort; after a wait again, once                yes
refused (4xx), crash (500)   no                     the error                                      -
===========================  =====================  =============================================  ========

.. [1] A server that has never answered is not waited for: the address may be wrong.
.. [2] Not when it turned out that the server was really gone: that is waited for, however often it happens.

Cases and their sources: ``docs/explanation/connections.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import FailureKind

if TYPE_CHECKING:
    from ..retry import RetryPolicy

__all__ = ["AwaitRoom", "AwaitServer", "Decision", "Resend", "Stop", "Tries", "decide"]

_TRIES_OF_A_FAULT = 2  # a fault that comes back at once is not transient
_FINAL = frozenset({FailureKind.REJECTED, FailureKind.AUTHENTICATION, FailureKind.CRASH, FailureKind.GIVEN_UP})
_ONCE_MORE = frozenset({FailureKind.FAULT, FailureKind.BAD_REPLY})


@dataclass(frozen=True, slots=True)
class Tries:
    """What one call has been through.

    Attributes:
        counted: tries that count against the policy, the last included if it does.
        stale: tries that met a connection closed for being idle.
    """

    counted: int = 0
    stale: int = 0


@dataclass(frozen=True, slots=True)
class Stop:
    """No further try."""


@dataclass(frozen=True, slots=True)
class Resend:
    """Another try.

    Attributes:
        wait: seconds before it.
        is_charged: whether it takes from the budget that all calls share.
    """

    wait: float
    is_charged: bool


@dataclass(frozen=True, slots=True)
class AwaitServer:
    """Another try when the server answers again; charged to the budget if it was never gone.

    Attributes:
        wait: seconds before it, from then on.
        is_charged: as in :class:`Resend`.
    """

    wait: float
    is_charged: bool


@dataclass(frozen=True, slots=True)
class AwaitRoom:
    """Another try when the server, which was full, has room."""


Decision = Stop | Resend | AwaitServer | AwaitRoom


def decide(
    policy: RetryPolicy, kind: FailureKind, *, is_stale: bool, has_answered: bool, tries: Tries, fraction: float
) -> Decision:
    """Decide after a failed try.

    Args:
        policy: the limits.
        kind: how the last try failed.
        is_stale: whether it met a connection that the server had closed for being idle.
        has_answered: whether this server has ever answered.
        tries: tries so far, the last included.
        fraction: a random number in [0, 1): the jitter.
    """
    if kind in _FINAL:
        return Stop()
    if is_stale and tries.stale == 1:
        return Resend(0.0, is_charged=False)
    if policy.attempts == 1:
        return Stop()
    if kind is FailureKind.BUSY:
        return AwaitRoom()
    allowed = min(policy.attempts, _TRIES_OF_A_FAULT) if kind in _ONCE_MORE else policy.attempts
    if tries.counted >= allowed:
        return Stop()
    exponent = min(max(tries.counted - 1, 0), 64)  # 2.0 ** 1024 overflows; no policy waits this long
    wait = fraction * min(policy.most_wait, policy.first_wait * 2.0**exponent)
    is_charged = kind is not FailureKind.CONNECT
    if kind in _ONCE_MORE or not has_answered:
        return Resend(wait, is_charged)
    return AwaitServer(wait, is_charged)
