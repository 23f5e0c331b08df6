"""One try of a call: send, wait as long as such a request may take, and say what the reply or its absence means."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from .._core.pace import Work
from .._core.retry_after import retry_after
from .._transport.base import HttpReply, HttpRequest, TransportError
from .._wire.broken import BrokenReplyError
from .._wire.faults import read_fault
from .._wire.stream import StreamFaultError
from ..errors import Attempt, FailureKind
from ..events import AttemptFailed
from .failure import AttemptFailedError
from .open_call import OpenCall
from .running_try import RunningTry
from .streamed_reply import streamed_reply
from .watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from typing import Any

    from .._transport.base import HttpStream, Transport
    from .._wire.faults import Fault
    from .aborter import Live
    from .course import Course
    from .server import Server

__all__ = ["Attempter"]

_log = logging.getLogger("ets_client")
T = TypeVar("T")


class Attempter:
    """Makes single tries on one server."""

    def __init__(self, server: Server) -> None:
        """Make tries on that server."""
        self._server = server
        self._watchdog = Watchdog(server.policy.least_attempt)
        self._answered_at = 0.0

    async def send(self, course: Course[T]) -> T:
        """Try once, for a whole reply.

        Args:
            course: the call.

        Raises:
            AttemptFailedError: it failed.
            DeadlineExceededError: the call's time is over.
        """
        exchange, transport = course.exchange, self._server.transport
        if exchange.first is None:
            one, reply_to_come = self._begin(course, transport.send)
        else:
            one, streamed = self._begin(course, partial(streamed_reply, transport, exchange.first))
            reply_to_come = self._receive(one, streamed)
        try:
            reply = await self._exchange(course, one, reply_to_come)
        finally:
            self._end(one)
        if not 200 <= reply.status < 300:
            raise self._refused(course, one, reply.status, read_fault(reply.status, reply.body), reply.headers)
        try:
            result = exchange.read(reply.body)
        except StreamFaultError as error:
            raise self._refused(course, one, error.status, error.fault, reply.headers) from None
        except BrokenReplyError as error:
            shown = "" if one.outgoing.hides_reply else reply.body[:300].decode(errors="replace")
            message = f"the reply to {one.outgoing.path} is not what SGLang sends: {error}"
            raise self._failed(course, one, FailureKind.BAD_REPLY, message, reply.status, shown) from error
        did = exchange.did(result)
        if did is not None:
            self._answered_at = self._now()
            self._server.pace.took(did, one.in_flight, self._answered_at - one.sent)
        self._server.gate.succeeded()
        return result

    async def open(self, course: Course[Any]) -> OpenCall:
        """Try once, for a reply that streams.

        Args:
            course: the call.

        Raises:
            AttemptFailedError: no stream began.
            DeadlineExceededError: the call's time is over.
        """
        one, opening = self._begin(course, partial(_stream_or_error, self._server.transport))
        try:
            stream = await self._exchange(course, one, self._receive(one, opening))
        except BaseException:
            self._end(one)
            raise
        if isinstance(stream, HttpReply):
            self._end(one)
            raise self._refused(course, one, stream.status, read_fault(stream.status, stream.body), stream.headers)
        self._server.gate.succeeded()
        if one.call is not None:
            one.call.tries.remove(one)
        deadline = course.deadline
        return OpenCall(one.outgoing, one.samples, stream, one.limit(), deadline=deadline, watchdog=self._watchdog)

    def ended(self, call: OpenCall) -> None:
        """An open call is over."""
        self._server.counters.in_flight -= 1
        self._server.counters.samples -= len(call.unfinished)

    def end_all(self) -> None:
        """The client is closed: end all tries now and stop their samples."""
        self._watchdog.end_all()

    async def _receive(self, one: RunningTry, work: Coroutine[Any, Any, T]) -> T:
        # A cancelled wait leaves it to _give_up to close the connection: see OpenCall.chunk.
        receiving = asyncio.get_running_loop().create_task(work)
        one.receiving = receiving
        try:
            reply = await asyncio.shield(receiving)
        except Exception:
            one.receiving = None
            raise
        one.receiving = None
        return reply

    def _begin(
        self, course: Course[Any], send: Callable[[HttpRequest], Coroutine[Any, Any, T]]
    ) -> tuple[RunningTry, Coroutine[Any, Any, T]]:
        """A try, and its exchange, which is to be awaited at once."""
        server = self._server
        server.check_open()
        outgoing = course.exchange.write()
        call = course.call
        if call is not None:
            call.check_wanted()
        counters = server.counters
        counters.in_flight += 1
        counters.samples += len(outgoing.rids)
        one = RunningTry(server, course, replace(outgoing, body=b""), call)
        if call is not None:
            call.tries.append(one)
        headers = server.headers(is_admin=outgoing.is_admin)
        request = HttpRequest(
            outgoing.method,
            one.samples.base + outgoing.path,
            {**headers, **outgoing.headers} if outgoing.headers else headers,
            outgoing.body,
            outgoing.lane,
            one.went_out,
            has_abort=bool(one.samples.rids),
        )
        try:
            return one, send(request)
        except BaseException:
            self._end(one)
            raise

    def _end(self, one: RunningTry) -> None:
        self._server.counters.in_flight -= 1
        self._server.counters.samples -= len(one.outgoing.rids)
        if one.call is not None:
            one.call.tries.remove(one)

    async def _exchange(self, course: Course[Any], one: RunningTry, exchange: Coroutine[Any, Any, T]) -> T:
        server = self._server
        self._watchdog.watch(one)
        try:
            reply = await exchange
        except asyncio.CancelledError:
            if not one.leave():
                self._give_up(course, one)
                raise
        except TransportError as error:
            raise self._broken(course, one, error) from error
        else:
            server.gate.has_answered = True
            return reply
        finally:
            self._watchdog.forget(one)
            one.leave()
        if self._now() >= one.deadline:
            self._give_up(course, one)
            raise course.deadline.missed(course.attempts)
        if server.is_closed:
            self._stop(one)
            server.check_open()
        raise self._no_reply(course, one)

    def _no_reply(self, course: Course[Any], one: RunningTry) -> AttemptFailedError:
        seconds = self._now() - one.sent
        if isinstance(course.work, Work) and self._answered_at < one.sent:
            # Nobody was answered meanwhile, so the server is slow (it would have taken longer), and not this one lost.
            self._server.pace.took(course.work, one.in_flight, seconds)
        self._server.lost()
        if one.receiving is not None:
            self._stop(one)
        course.live = one.live
        message = f"{_url(one)} took the request and gave no reply for {seconds:.3g} s, much longer than it should take"
        return self._failed(course, one, FailureKind.NO_REPLY, message)

    def _broken(self, course: Course[Any], one: RunningTry, error: TransportError) -> AttemptFailedError:
        self._server.check_open()
        if not error.was_sent:
            self._server.lost()
            return self._failed(course, one, FailureKind.CONNECT, f"cannot connect to {_url(one)}: {error}")
        course.live = one.samples if error.was_answered else one.live
        if error.was_answered:
            return self._failed(course, one, FailureKind.BAD_REPLY, f"{_url(one)}: {error}")
        if not error.was_idle:
            self._server.lost()
        message = f"the connection to {_url(one)} broke: {error}"
        return self._failed(course, one, FailureKind.DISCONNECT, message, is_stale=error.was_idle)

    def _refused(
        self, course: Course[Any], one: RunningTry, status: int, fault: Fault, headers: Mapping[str, str]
    ) -> AttemptFailedError:
        if status >= 500 and len(one.outgoing.rids) > 1:
            # One sample failed or found no room; SGLang before 0.5.23 goes on with the others, unread.
            course.live = one.samples
        if fault.kind is FailureKind.BUSY:
            self._server.refused()
        if status in {404, 405}:
            message = f"{one.samples.base} has no {one.outgoing.path}: is it the address of an SGLang server?"
            if one.samples.base.endswith("/v1"):
                message += " Leave `/v1` out: it is of the OpenAI API, which is not used here."
        else:
            message = f"the server says: {fault.message}"
        return self._failed(course, one, fault.kind, message, status, fault.body, asked_to_wait=retry_after(headers))

    def _failed(
        self,
        course: Course[Any],
        one: RunningTry,
        kind: FailureKind,
        message: str,
        status: int | None = None,
        body: str = "",
        *,
        is_stale: bool = False,
        asked_to_wait: float | None = None,
    ) -> AttemptFailedError:
        """Write the failure down and make the exception for it."""
        attempt = Attempt(one.outgoing.rids, kind, f"{kind}: {message}", status, self._now() - one.start)
        course.attempts = (*course.attempts, attempt)
        self._server.counters.failures[kind] += 1
        self._server.tell(AttemptFailed(one.outgoing.path, attempt))
        _log.debug("attempt %d of %s failed: %s", len(course.attempts), one.outgoing.path, attempt.outcome)
        return AttemptFailedError(attempt, message, body, is_stale=is_stale, asked_to_wait=asked_to_wait)

    def _give_up(self, course: Course[Any], one: RunningTry) -> None:
        self._failed(course, one, FailureKind.GIVEN_UP, "given up before the reply came")
        self._stop(one)

    def _stop(self, one: RunningTry) -> None:
        """Stop its samples in the background."""
        if one.receiving is None:
            one.stop()
        else:
            self._server.aborter.detach(self._stop_stream(one.live, one.receiving))

    async def _stop_stream(self, live: Live, receiving: asyncio.Task[HttpStream | HttpReply]) -> None:
        try:
            await self._server.aborter.stop(live)
        finally:
            receiving.cancel()
            (got,) = await asyncio.gather(receiving, return_exceptions=True)
            if not isinstance(got, BaseException | HttpReply):
                await got.aclose()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


async def _stream_or_error(transport: Transport, request: HttpRequest) -> HttpStream | HttpReply:
    """A stream that has begun; of an error instead the whole reply, since its body may be long in coming."""
    opening = transport.open(request)
    del request  # what waits for a reply holds as little as it can
    stream = await opening
    if 200 <= stream.status < 300:
        return stream
    try:
        body = b"".join([chunk async for chunk in stream.chunks()])
    except TransportError:
        body = b""  # the status says enough
    finally:
        await stream.aclose()
    return HttpReply(stream.status, body, stream.headers)


def _url(one: RunningTry) -> str:
    return one.samples.base + one.outgoing.path
