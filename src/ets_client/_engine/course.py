"""One call on its way through its tries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from .._core.retry import Decision, Stop, Tries, decide
from .._record import State
from ..errors import FailureKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._core.pace import Work
    from ..errors import Attempt
    from ..retry import RetryPolicy
    from .aborter import Live
    from .deadline import Deadline
    from .exchange import Exchange
    from .failure import AttemptFailedError
    from .pending import PendingCall
    from .server import Server

__all__ = ["Course"]

T = TypeVar("T")
_STOP = Stop()


class Course(State, Generic[T]):
    """What a call is, and what it has been through.

    Attributes:
        exchange: what is sent, and how its reply is read.
        deadline: end of all tries and the waits between them.
        policy: how often it is tried.
        work: what a try asks for, or seconds after which one is given up.
        call: the call of a search that asks, or None: what serves several calls is none of theirs.
        attempts: tries that failed.
        counted: of them, those that count against the policy.
        stale: of them, those that met a connection closed for being idle.
        unanswered: of them, those that were given up because no reply came.
        decision: what follows the last of them.
        asked_to_wait: seconds that the server asked for with the last of them, or None.
        was_gone: whether the server turned out to be gone after it.
        live: the last try's samples, while they may still run.
    """

    exchange: Exchange[T]
    deadline: Deadline
    policy: RetryPolicy
    work: Work | float
    call: PendingCall | None = None
    attempts: Sequence[Attempt] = ()
    counted: int = 0
    stale: int = 0
    unanswered: int = 0
    decision: Decision = _STOP
    asked_to_wait: float | None = None
    was_gone: bool = False
    live: Live | None = None

    def note(self, failure: AttemptFailedError, server: Server) -> None:
        """Write the last try's failure down and decide what follows.

        Args:
            failure: how it failed.
            server: whether it ever answered counts.
        """
        kind = failure.attempt.kind
        self.stale += failure.is_stale
        self.unanswered += kind is FailureKind.NO_REPLY
        if kind is not FailureKind.BUSY and not (failure.is_stale and self.stale == 1):
            self.counted += 1
        self.asked_to_wait = failure.asked_to_wait
        self.was_gone = False
        self.decision = decide(
            self.policy,
            kind,
            is_stale=failure.is_stale,
            has_answered=server.gate.has_answered,
            tries=Tries(self.counted, self.stale),
            fraction=server.jitter(),
        )
