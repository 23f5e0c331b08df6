"""What an attempt's failure is to the engine, and which error the caller sees in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

__all__ = ["ERRORS", "AttemptFailedError", "final_error"]

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
