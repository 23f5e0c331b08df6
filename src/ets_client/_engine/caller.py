"""One call: attempts until one succeeds, the policy says stop, or the time is over."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NoReturn, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from .._core.retry import delay_before_retry
from .._transport.base import HttpRequest, TransportError
from .._wire.broken import BrokenReplyError
from .._wire.faults import read_fault
from ..errors import (
    Attempt,
    AuthenticationError,
    ConfigurationError,
    DeadlineExceededError,
    FailureKind,
    RequestError,
    RequestRejectedError,
    ServerBusyError,
    ServerFaultError,
    ServerUnreachableError,
)
from .open_call import OpenCall

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from pydantic import SecretStr

    from .._transport.base import HttpStream, Transport
    from ..retry import RetryPolicy
    from .address import Address
    from .deadline import Deadline

__all__ = ["ERRORS", "Caller", "Outgoing"]

_log = logging.getLogger("ets_client")
_ABORT_SECONDS = 2.0
ERRORS: dict[FailureKind, type[RequestError]] = {
    FailureKind.CONNECT: ServerUnreachableError,
    FailureKind.DISCONNECT: ServerUnreachableError,
    FailureKind.BUSY: ServerBusyError,
    FailureKind.FAULT: ServerFaultError,
    FailureKind.CRASH: ServerFaultError,
    FailureKind.BAD_REPLY: ServerFaultError,
    FailureKind.REJECTED: RequestRejectedError,
    FailureKind.AUTHENTICATION: AuthenticationError,
    FailureKind.GIVEN_UP: DeadlineExceededError,
}
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One try of a call, as it goes out.

    Attributes:
        method: HTTP method.
        path: path at the server.
        body: JSON, or empty.
        rids: request ids of the samples in it; they are aborted when the try is given up.
        lane: see :class:`HttpRequest`.
        hides_reply: the reply may hold keys, so errors do not quote it.
        is_admin: whether a server with an admin key wants that one.
        headers: besides the key and the content's type.
        is_abortable: whether the server can stop these samples by their ids; else giving up only closes the connection.
    """

    method: Literal["GET", "POST"]
    path: str
    body: bytes = b""
    rids: tuple[str, ...] = ()
    lane: Literal["work", "control"] = "work"
    hides_reply: bool = False
    is_admin: bool = False
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    is_abortable: bool = True


class _AttemptFailedError(Exception):
    def __init__(self, attempt: Attempt, message: str, body: str) -> None:
        super().__init__(message)
        self.attempt = attempt
        self.message = message
        self.body = body


class Caller:
    """Sends calls to one server and repeats what may be repeated.

    Cancelling :meth:`call` tells the server to stop the samples of the running try, in the background and for at most
    2 s, and lets the cancellation through at once.
    """

    def __init__(
        self,
        transport: Transport,
        address: Address,
        policy: RetryPolicy,
        *,
        jitter: Callable[[], float],
        admin_key: SecretStr | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_lost_server: Callable[[], None],
    ) -> None:
        """Make a caller.

        Args:
            transport: how bytes travel.
            address: where to.
            policy: how often a call is tried.
            jitter: random numbers in [0, 1).
            admin_key: for aborts and flushes, where the server has one besides the address's.
            sleep: waits between tries.
            on_lost_server: called when the server could not be reached: its cache may be gone.
        """
        self._transport = transport
        self._address = address
        self._policy = policy
        self._jitter = jitter
        self._admin_key = admin_key
        self._sleep = sleep
        self._on_lost_server = on_lost_server
        self._aborts: set[asyncio.Task[None]] = set()
        self._opened: set[OpenCall] = set()
        self._is_closed = False

    async def call(self, make: Callable[[], Outgoing], read: Callable[[bytes], T], deadline: Deadline) -> T:
        """Make one call.

        Args:
            make: builds a try; called for each, so that every try has its own request ids.
            read: reads the reply's body; raises :class:`BrokenReplyError` when it cannot.
            deadline: end of all tries and the waits between them.

        Returns:
            What ``read`` made of the first good reply.

        Raises:
            RequestError: the call failed; which subclass says why.
            ConfigurationError: the client is closed.
        """
        return await self._repeat(lambda attempts: self._try(make, read, attempts), deadline)

    async def open(self, make: Callable[[], Outgoing], deadline: Deadline) -> OpenCall:
        """Make one call whose reply is a stream. Once it has begun nothing is repeated.

        Args:
            make: builds a try.
            deadline: end of all tries until the stream begins.

        Raises:
            RequestError: no stream began; which subclass says why.
            ConfigurationError: the client is closed.
        """
        return await self._repeat(lambda attempts: self._try_open(make, attempts), deadline)

    async def close(self, call: OpenCall) -> None:
        """End a stream. What has not finished is aborted first: SGLang 0.5.18 goes on after a mere disconnect."""
        if call not in self._opened:
            return
        self._opened.discard(call)
        if not call.unfinished:
            await call.aclose()
            return

        async def stop() -> None:
            try:
                if call.outgoing.is_abortable:
                    await self.abort(tuple(rid for rid in call.outgoing.rids if rid in call.unfinished), call.base)
            finally:
                await call.aclose()

        self._in_background(stop())

    def lost(self, error: TransportError, rids: tuple[str, ...]) -> ServerUnreachableError:
        """Note that a stream broke, and make the error for it."""
        self._on_lost_server()
        return ServerUnreachableError(f"the connection broke in the middle of a stream: {error}", rids=rids)

    async def _repeat(self, attempt: Callable[[list[Attempt]], Awaitable[T]], deadline: Deadline) -> T:
        attempts: list[Attempt] = []

        async def once() -> T:  # tenacity looks whether a function is a coroutine function
            return await attempt(attempts)

        try:
            async with asyncio.timeout_at(deadline.at):
                retrying = AsyncRetrying(
                    retry=retry_if_exception_type(_AttemptFailedError),
                    stop=_Stop(self._policy),
                    wait=_Wait(self._policy, self._jitter),
                    sleep=self._sleep,
                    reraise=True,
                )
                return await retrying(once)
        except _AttemptFailedError as failure:
            _raise(failure, tuple(attempts))
        except TimeoutError:
            message = f"no answer within {deadline.seconds:g} s"
            rids, status = (attempts[-1].rids, attempts[-1].status) if attempts else ((), None)
            raise DeadlineExceededError(message, rids=rids, status=status, attempts=tuple(attempts)) from None

    async def abort(self, rids: tuple[str, ...], base: str | None = None) -> None:
        """Tell a server to stop these samples; at most 2 s, and errors are ignored: the samples may have ended.

        SGLang answers 200 whether or not an id is known, and matches by prefix: ids must not be prefixes of another.

        Args:
            rids: the samples.
            base: the server that they were sent to, which need not be the one of now; None for that one.
        """
        base, headers = base or self._address.base_url, self._headers(is_admin=True)

        async def stop(rid: str) -> None:
            body = json.dumps({"rid": rid}).encode()
            with contextlib.suppress(TransportError):
                await self._transport.send(HttpRequest("POST", f"{base}/abort_request", headers, body, "control"))

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ABORT_SECONDS):
                await asyncio.gather(*map(stop, rids))

    async def aclose(self) -> None:
        """End all streams and take no more calls, after the aborts that are on their way (each has at most 2 s)."""
        try:
            for call in list(self._opened):
                await self.close(call)
            while self._aborts:
                await asyncio.wait(set(self._aborts))
        finally:
            self._is_closed = True

    async def _try(self, make: Callable[[], Outgoing], read: Callable[[bytes], T], attempts: list[Attempt]) -> T:
        one = self._begin(make, attempts)
        reply = await self._exchange(one, self._transport.send)
        if not 200 <= reply.status < 300:
            raise self._refused(one, reply.status, reply.body)
        try:
            return read(reply.body)
        except BrokenReplyError as error:
            shown = "" if one.outgoing.hides_reply else reply.body[:300].decode(errors="replace")
            message = f"the reply to {one.outgoing.path} is not what SGLang sends: {error}"
            raise one.failed(FailureKind.BAD_REPLY, message, reply.status, shown) from error

    async def _try_open(self, make: Callable[[], Outgoing], attempts: list[Attempt]) -> OpenCall:
        one = self._begin(make, attempts)
        stream = await self._exchange(one, lambda request: self._open(one, request))
        if 200 <= stream.status < 300:
            call = OpenCall(one.outgoing, one.base, stream)
            self._opened.add(call)
            return call
        try:
            body = b"".join([chunk async for chunk in stream.chunks()])
        except TransportError:
            body = b""  # the status says enough
        finally:
            await stream.aclose()
        raise self._refused(one, stream.status, body)

    async def _open(self, one: _Try, request: HttpRequest) -> HttpStream:
        # A cancelled wait leaves it to _give_up to close the connection: see OpenCall.chunk.
        opening = asyncio.get_running_loop().create_task(self._transport.open(request))
        one.opening.append(opening)
        await asyncio.wait([opening])
        one.opening.clear()
        return opening.result()

    def _begin(self, make: Callable[[], Outgoing], attempts: list[Attempt]) -> _Try:
        if self._is_closed:
            raise ConfigurationError("this client is closed: make a new one")
        outgoing = make()
        headers = {**self._headers(is_admin=outgoing.is_admin), **outgoing.headers}
        return _Try(outgoing, self._address.base_url, headers, attempts, time.monotonic())

    async def _exchange(self, one: _Try, exchange: Callable[[HttpRequest], Awaitable[T]]) -> T:
        outgoing, url = one.outgoing, one.base + one.outgoing.path
        try:
            return await exchange(HttpRequest(outgoing.method, url, one.headers, outgoing.body, outgoing.lane))
        except asyncio.CancelledError:
            one.failed(FailureKind.GIVEN_UP, "given up before the reply came")
            self._abort_in_background(one)
            raise
        except TransportError as error:
            if error.was_sent:
                failure = one.failed(FailureKind.DISCONNECT, f"the connection to {url} broke: {error}")
                self._abort_in_background(one)
            else:
                failure = one.failed(FailureKind.CONNECT, f"cannot connect to {url}: {error}")
            self._on_lost_server()
            await self._address.refresh()
            raise failure from error

    def _refused(self, one: _Try, status: int, body: bytes) -> _AttemptFailedError:
        fault = read_fault(status, body)
        if status >= 500 and len(one.outgoing.rids) > 1:
            # One sample failed or found no room; SGLang before 0.5.23 goes on with the others, unread.
            self._abort_in_background(one)
        if status in {404, 405}:
            message = f"{one.base} has no {one.outgoing.path}: is it the address of an SGLang server?"
        else:
            message = f"the server says: {fault.message}"
        return one.failed(fault.kind, message, status, fault.body)

    def _headers(self, *, is_admin: bool = False) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        key = self._admin_key if is_admin and self._admin_key is not None else self._address.api_key
        if key is not None:
            headers["Authorization"] = f"Bearer {key.get_secret_value()}"
        return headers

    def _abort_in_background(self, one: _Try) -> None:
        if one.opening or (one.outgoing.rids and not self._is_closed):
            self._in_background(self._give_up(one))

    async def _give_up(self, one: _Try) -> None:
        try:
            if one.outgoing.is_abortable and not self._is_closed:
                await self.abort(one.outgoing.rids, one.base)
        finally:
            for opening in one.opening:
                opening.cancel()
                (stream,) = await asyncio.gather(opening, return_exceptions=True)
                if not isinstance(stream, BaseException):
                    await stream.aclose()

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._aborts.add(task)
        task.add_done_callback(self._aborts.discard)


@dataclass(frozen=True, slots=True)
class _Try:
    """One try: what goes out, where to, and since when."""

    outgoing: Outgoing
    base: str
    headers: dict[str, str]
    attempts: list[Attempt]
    start: float
    opening: list[asyncio.Task[HttpStream]] = field(default_factory=list["asyncio.Task[HttpStream]"])

    def failed(self, kind: FailureKind, message: str, status: int | None = None, body: str = "") -> _AttemptFailedError:
        """Write the failure down and make the exception for it."""
        outcome = f"{kind}: {message}"
        self.attempts.append(Attempt(self.outgoing.rids, kind, outcome, status, time.monotonic() - self.start))
        _log.debug("attempt %d of %s failed: %s", len(self.attempts), self.outgoing.path, outcome)
        return _AttemptFailedError(self.attempts[-1], message, body)


class _Stop(stop_base):
    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy

    def __call__(self, retry_state: RetryCallState) -> bool:
        return delay_before_retry(self._policy, _kind(retry_state), retry_state.attempt_number, 0.0) is None


class _Wait(wait_base):
    def __init__(self, policy: RetryPolicy, jitter: Callable[[], float]) -> None:
        self._policy = policy
        self._jitter = jitter

    def __call__(self, retry_state: RetryCallState) -> float:
        delay = delay_before_retry(self._policy, _kind(retry_state), retry_state.attempt_number, self._jitter())
        return 0.0 if delay is None else delay  # tenacity asks for the wait before it asks whether to stop


def _kind(retry_state: RetryCallState) -> FailureKind:
    error = retry_state.outcome.exception() if retry_state.outcome is not None else None
    assert isinstance(error, _AttemptFailedError)  # noqa: S101 - only these are retried
    return error.attempt.kind


def _raise(failure: _AttemptFailedError, attempts: tuple[Attempt, ...]) -> NoReturn:
    last = failure.attempt
    message = failure.message
    if last.kind is FailureKind.CONNECT:
        message += ". Is a server up there? `ets-server status` shows what runs, `ets-server up` starts one"
    raise ERRORS[last.kind](
        message, rids=last.rids, status=last.status, body=failure.body, attempts=attempts
    ) from failure.__cause__
