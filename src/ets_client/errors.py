"""Every error this package raises, as a tree of what the caller can do about it.

::

    EtsClientError
    ├── InvalidRequestError (ValueError)   mend the argument: nothing was sent
    ├── ConfigurationError (ValueError)    mend a profile, an endpoint file or a setting: nothing was sent
    ├── UnsupportedError                   this server cannot do it, others can: nothing was sent
    ├── TreeClosedError                    the tree of the call was left: make the call elsewhere
    ├── PrunedError                        the path of the call was pruned while it ran: nobody wants its result
    └── RequestError                       the request left; carries rids, status, body and every attempt
        ├── RequestRejectedError           the server refused it (4xx): mend the request, do not repeat it
        ├── AuthenticationError            the server wants another key (401, 403)
        ├── ServerBusyError                the server was full (503, 429): nothing ran, try later
        ├── ServerFaultError               the server failed or answered nonsense (5xx, a broken body)
        ├── ServerUnreachableError         no connection, it broke before the reply was complete, or no reply came
        └── DeadlineExceededError (TimeoutError)  the call's time was over

Cancellation is no error: ``asyncio.CancelledError`` always passes through.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .branch import Branch

__all__ = [
    "Attempt",
    "AuthenticationError",
    "ConfigurationError",
    "DeadlineExceededError",
    "EtsClientError",
    "FailureKind",
    "InvalidRequestError",
    "PrunedError",
    "RequestError",
    "RequestRejectedError",
    "ServerBusyError",
    "ServerFaultError",
    "ServerUnreachableError",
    "TreeClosedError",
    "UnsupportedError",
]

BODY_CHARACTERS_SHOWN = 300


class EtsClientError(Exception):
    """Base of all errors of this package."""


class InvalidRequestError(EtsClientError, ValueError):
    """An argument that would harm or confuse the server. It was refused here and never sent.

    Attributes:
        argument: name of the argument, with its place when it is nested (``"sampling.top_p"``).
        given: the value that was refused.
        allowed: what is allowed instead.
    """

    def __init__(self, argument: str, given: object, allowed: str) -> None:
        super().__init__(f"{argument} = {_show(given)} is not possible: {allowed}")
        self.argument = argument
        self.given = given
        self.allowed = allowed

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.argument, self.given, self.allowed)


def _show(given: object) -> str:
    try:
        shown = repr(given)
    except Exception:  # noqa: BLE001 - whatever it is: a list in itself 1,000 times, a number of 5,000 digits
        shown = f"<{type(given).__name__}>"
    return shown if len(shown) <= BODY_CHARACTERS_SHOWN else f"{shown[:BODY_CHARACTERS_SHOWN]}…"


class ConfigurationError(EtsClientError, ValueError):
    """A profile, an endpoint file or a client setting that cannot be used; the message says how to mend it."""


class UnsupportedError(EtsClientError):
    """Something that this server cannot do, although others can. It was refused here and nothing was sent.

    Attributes:
        feature: what was asked for: a call (``"metrics()"``) or an argument (``"sampling.logit_bias"``).
        reason: why it is not possible here, and what to do instead.
    """

    def __init__(self, feature: str, reason: str) -> None:
        super().__init__(f"{feature} is not possible here: {reason}")
        self.feature = feature
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.feature, self.reason)


class TreeClosedError(EtsClientError):
    """A call was made, or still ran, in a tree that was left. Its samples have been told to stop.

    Attributes:
        tree: the tree's name.
    """

    def __init__(self, tree: str) -> None:
        super().__init__(f"the tree {tree!r} was left: what was pending in it has been stopped")
        self.tree = tree

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.tree,)


class PrunedError(EtsClientError):
    """The path of a call was pruned while it ran or waited. Its samples have been told to stop.

    Attributes:
        tree: the tree's name, or "" outside of one.
        tokens: length of the prefix that the call was to expand.
    """

    def __init__(self, tree: str, tokens: int) -> None:
        where = f" in the tree {tree!r}" if tree else ""
        super().__init__(f"the path of this call ({tokens} tokens) was pruned{where}: it has been stopped")
        self.tree = tree
        self.tokens = tokens

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.tree, self.tokens)


class FailureKind(StrEnum):
    """How one attempt failed, by what the server did."""

    CONNECT = "connect"  # no connection: the server saw nothing
    DISCONNECT = "disconnect"  # the connection broke: the server may have worked
    NO_REPLY = "no_reply"  # none came for much longer than such requests take: the server may still be at work
    BUSY = "busy"  # refused because it was full: nothing ran
    FAULT = "fault"  # a failure that the server reported of itself
    CRASH = "crash"  # an exception nobody caught there, nearly always the request's fault
    BAD_REPLY = "bad_reply"  # a reply that is not SGLang's
    GIVEN_UP = "given_up"  # by this client: the call's time was over, or it was cancelled
    REJECTED = "rejected"
    AUTHENTICATION = "authentication"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One failed try of a call.

    Attributes:
        rids: request ids of the samples in this try.
        kind: how it failed.
        outcome: one line that says how it failed.
        status: HTTP status, or None when no reply came.
        seconds: how long it took.
    """

    rids: tuple[str, ...]
    kind: FailureKind
    outcome: str
    status: int | None
    seconds: float


class RequestError(EtsClientError):
    """A request that left this process and did not succeed.

    Attributes:
        rids: request ids of the last attempt, as they stand in the server's log.
        status: HTTP status of the last attempt, or None when no reply came.
        body: what the server said, at most a few kilobytes, or "".
        attempts: every attempt of this call, in order.
        branches: samples of this call that ended before it failed.
    """

    branches: tuple[Branch, ...] = ()

    def __init__(
        self,
        message: str,
        *,
        rids: tuple[str, ...] = (),
        status: int | None = None,
        body: str = "",
        attempts: tuple[Attempt, ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.rids = rids
        self.status = status
        self.body = body
        self.attempts = attempts

    def __str__(self) -> str:
        details: list[str] = []
        if self.rids:
            details.append(f"rid {self.rids[0]}" + (f" and {len(self.rids) - 1} more" if len(self.rids) > 1 else ""))
        if self.status is not None:
            details.append(f"status {self.status}")
        if len(self.attempts) > 1:
            same = self.attempts[0].outcome == self.attempts[-1].outcome
            details.append(f"{len(self.attempts)} attempts" + ("" if same else f", first: {self.attempts[0].outcome}"))
        return f"{self.message} ({'; '.join(details)})" if details else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, dict(self.__dict__))


def _rebuild(kind: type[RequestError], args: tuple[Any, ...], state: dict[str, Any]) -> RequestError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class RequestRejectedError(RequestError):
    """The server refused the request (a 4xx status). Repeating it cannot help; mend what the message names."""


class AuthenticationError(RequestError):
    """The server wants an API key, or another one (401, 403)."""


class ServerBusyError(RequestError):
    """The server's queue was full and stayed full until the call's patience was over. Nothing ran."""


class ServerFaultError(RequestError):
    """The server failed while it worked (5xx), or its reply was not what SGLang sends."""


class ServerUnreachableError(RequestError):
    """No connection to the server, or it broke before the reply was complete, or no reply came at all."""


class DeadlineExceededError(RequestError, TimeoutError):
    """The call's deadline passed. What was still running on the server has been told to stop."""
