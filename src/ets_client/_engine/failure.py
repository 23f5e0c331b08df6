"""What an attempt's failure is to the engine, and which error the caller sees in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ..errors import (
    AuthenticationError,
    DeadlineExceededError,
    FailureKind,
    RequestError,
    RequestRejectedError,
    ServerBusyError,
    ServerFaultError,
    ServerUnreachableError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..errors import Attempt

__all__ = ["ERRORS", "AttemptFailedError", "error_after", "final_error"]

E = TypeVar("E", bound=RequestError)

ERRORS: dict[FailureKind, type[RequestError]] = {
    FailureKind.CONNECT: ServerUnreachableError,
    FailureKind.DISCONNECT: ServerUnreachableError,
    FailureKind.NO_REPLY: ServerUnreachableError,
    FailureKind.BUSY: ServerBusyError,
    FailureKind.FAULT: ServerFaultError,
    FailureKind.CRASH: ServerFaultError,
    FailureKind.BAD_REPLY: ServerFaultError,
    FailureKind.REJECTED: RequestRejectedError,
    FailureKind.AUTHENTICATION: AuthenticationError,
    FailureKind.GIVEN_UP: DeadlineExceededError,
}


class AttemptFailedError(Exception):
    """One try failed; whether it is repeated is not decided yet.

    Attributes:
        attempt: how.
        message: one line for people.
        body: what the server said, or "".
        is_stale: whether the connection had been closed by the server for being idle.
        asked_to_wait: seconds that the server asked for, or None.
    """

    def __init__(
        self,
        attempt: Attempt,
        message: str,
        body: str = "",
        *,
        is_stale: bool = False,
        asked_to_wait: float | None = None,
    ) -> None:
        super().__init__(message)
        self.attempt = attempt
        self.message = message
        self.body = body
        self.is_stale = is_stale
        self.asked_to_wait = asked_to_wait


def final_error(failure: AttemptFailedError, attempts: Sequence[Attempt]) -> RequestError:
    """The error for a call whose last try failed so.

    Args:
        failure: the last try's.
        attempts: all tries.
    """
    last, message = failure.attempt, failure.message
    if last.kind is FailureKind.CONNECT:
        message += ". Is a server up there? `ets-server status` shows what runs, `ets-server up` starts one"
    return ERRORS[last.kind](message, rids=last.rids, status=last.status, body=failure.body, attempts=tuple(attempts))


def error_after(kind: type[E], message: str, attempts: Sequence[Attempt]) -> E:
    """The error of a call that ends between tries, or for another reason than the last one's failure.

    Args:
        kind: its class.
        message: one line for people.
        attempts: all tries, perhaps none.
    """
    rids, status = (attempts[-1].rids, attempts[-1].status) if attempts else ((), None)
    return kind(message, rids=rids, status=status, attempts=tuple(attempts))
