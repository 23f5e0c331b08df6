"""One try of a call: send, wait as long as such a request may take, and say what the reply or its absence means."""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

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
from .pending import CALL
from .streamed_reply import streamed_reply
from .watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping
    from typing import Any

    from .._transport.base import HttpStream
    from .._wire.faults import Fault
    from .aborter import Live
    from .course import Course
    from .outgoing import Outgoing
    from .pending import PendingCall
    from .server import Server

__all__ = ["Attempter"]

_log = logging.getLogger("ets_client")
T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Try:
    """One try.

    Attributes:
        outgoing: what goes out.
        samples: what runs on the server once it has.
        start: when it began, on the loop's clock.
        in_flight: samples that it runs beside, its own included.
        call: the call of a search whose samples they are.
        sent: when it got its connection and went out, or infinity.
        receiving: its streamed reply, while that is not there.
    """

    outgoing: Outgoing
    samples: Live
    start: float
    in_flight: int
    call: PendingCall | None
    sent: float = math.inf
    receiving: list[asyncio.Task[Any]] = field(default_factory=list["asyncio.Task[Any]"])

    @property
    def live(self) -> Live:
        """The samples that may run: none before it went out."""
        return replace(self.samples, sent=self.sent) if self.sent < math.inf else replace(self.samples, rids=())


class Attempter:
    """Makes single tries on one server."""

    def __init__(self, server: Server) -> None:
        """Make tries on that server."""
        self._server = server
        self._watchdog = Watchdog(server.policy.least_attempt)
        self._answered_at = 0.0

    async def send(
        self,
        course: Course,
        read: Callable[[bytes], T],
        did: Callable[[T], Work] | None,
        first: Callable[[bytes], bool] | None = None,
    ) -> T:
        """Try once, for a whole reply.

        Args:
            course: the call.
            read: reads the reply's body.
            did: what a reply shows to have been done.
            first: of a reply that streams: given its events as they come, until it says True.

        Raises:
            AttemptFailedError: it failed.
            DeadlineExceededError: the call's time is over.
        """
        one, transport = self._begin(course), self._server.transport
        try:
            if first is None:
                reply = await self._exchange(course, one, transport.send)
            else:
                whole = partial(streamed_reply, transport, first)
                reply = await self._exchange(course, one, lambda request: self._receive(one, whole(request)))
        finally:
            self._end(one)
        if not 200 <= reply.status < 300:
            raise self._refused(course, one, reply.status, read_fault(reply.status, reply.body), reply.headers)
        try:
            result = read(reply.body)
        except StreamFaultError as error:
            raise self._refused(course, one, error.status, error.fault, reply.headers) from None
        except BrokenReplyError as error:
            shown = "" if one.outgoing.hides_reply else reply.body[:300].decode(errors="replace")
            message = f"the reply to {one.outgoing.path} is not what SGLang sends: {error}"
            raise self._failed(course, one, FailureKind.BAD_REPLY, message, reply.status, shown) from error
        if did is not None:
            self._answered_at = self._now()
            self._server.pace.took(did(result), one.in_flight, self._answered_at - one.sent)
        self._server.gate.succeeded()
        return result

    async def open(self, course: Course) -> OpenCall:
        """Try once, for a reply that streams.

        Args:
            course: the call.

        Raises:
            AttemptFailedError: no stream began.
            DeadlineExceededError: the call's time is over.
        """
        one = self._begin(course)
        try:
            stream = await self._exchange(
                course, one, lambda request: self._receive(one, self._server.transport.open(request))
            )
        except BaseException:
            self._end(one)
            raise
        if 200 <= stream.status < 300:
            self._server.gate.succeeded()
            if one.call is not None:
                del one.call.tries[one]
            return OpenCall(one.outgoing, one.samples, stream, self._limit(course, one))
        try:
            body = b"".join([chunk async for chunk in stream.chunks()])
        except TransportError:
            body = b""  # the status says enough
        finally:
            self._end(one)
            await stream.aclose()
        raise self._refused(course, one, stream.status, read_fault(stream.status, body), stream.headers)

    def ended(self, call: OpenCall) -> None:
        """An open call is over."""
        self._server.counters.in_flight -= 1
        self._server.counters.samples -= len(call.outgoing.rids)

    def end_all(self) -> None:
        """The client is closed: end all tries now and stop their samples."""
        self._watchdog.end_all()

    async def _receive(self, one: _Try, work: Coroutine[Any, Any, T]) -> T:
        # A cancelled wait leaves it to _give_up to close the connection: see OpenCall.chunk.
        receiving = asyncio.get_running_loop().create_task(work)
        one.receiving.append(receiving)
        await asyncio.wait([receiving])
        one.receiving.clear()
        return receiving.result()

    def _begin(self, course: Course) -> _Try:
        server = self._server
        server.check_open()
        outgoing = course.make()
        call = CALL.get() if outgoing.rids else None  # what asks for no samples may serve several calls
        if call is not None:
            call.check_wanted()
        counters = server.counters
        counters.in_flight += 1
        counters.samples += len(outgoing.rids)
        live = server.live(outgoing.rids if outgoing.is_abortable else ())
        one = _Try(outgoing, live, self._now(), counters.samples, call)
        if call is not None:
            call.tries[one] = partial(self._abort, one)
        return one

    def _limit(self, course: Course, one: _Try) -> float:
        """Seconds after which a try is given up, by what is known now."""
        if not isinstance(course.work, Work):
            return course.work
        in_flight = max(one.in_flight, self._server.counters.samples)
        return self._server.pace.limit(course.work, in_flight, course.unanswered)

    def _end(self, one: _Try) -> None:
        self._server.counters.in_flight -= 1
        self._server.counters.samples -= len(one.outgoing.rids)
        if one.call is not None:
            del one.call.tries[one]

    def _abort(self, one: _Try) -> bool:
        live = one.live
        self._server.aborter.stop_later(live)
        return bool(live.rids)

    async def _exchange(self, course: Course, one: _Try, exchange: Callable[[HttpRequest], Awaitable[T]]) -> T:
        server, outgoing, at = self._server, one.outgoing, course.deadline.at
        url = one.samples.base + outgoing.path
        headers = server.headers(is_admin=outgoing.is_admin)
        if outgoing.headers:
            headers.update(outgoing.headers)

        def sent() -> None:
            one.sent = self._now()

        request = HttpRequest(
            outgoing.method, url, headers, outgoing.body, outgoing.lane, sent, has_abort=bool(one.samples.rids)
        )
        try:
            async with asyncio.timeout_at(at) as scope:
                self._watchdog.watch(scope, lambda: one.sent + self._limit(course, one))
                try:
                    reply = await exchange(request)
                finally:
                    self._watchdog.forget(scope)
        except asyncio.CancelledError:
            self._failed(course, one, FailureKind.GIVEN_UP, "given up before the reply came")
            self._give_up_in_background(one)
            raise
        except TimeoutError:
            if at is not None and self._now() >= at:
                self._failed(course, one, FailureKind.GIVEN_UP, "given up before the reply came")
                self._give_up_in_background(one)
                raise course.deadline.missed(course.attempts) from None
            if server.is_closed:
                self._give_up_in_background(one)
                server.check_open()
            raise self._no_reply(course, one, url) from None
        except TransportError as error:
            raise self._broken(course, one, url, error) from error
        server.gate.has_answered = True
        return reply

    def _no_reply(self, course: Course, one: _Try, url: str) -> AttemptFailedError:
        seconds = self._now() - one.sent
        if isinstance(course.work, Work) and self._answered_at < one.sent:
            # Nobody was answered meanwhile, so the server is slow (it would have taken longer), and not this one lost.
            self._server.pace.took(course.work, one.in_flight, seconds)
        self._server.lost()
        if one.receiving:
            self._give_up_in_background(one)
        course.live = one.live
        message = f"{url} took the request and gave no reply for {seconds:.3g} s, much longer than it should take"
        return self._failed(course, one, FailureKind.NO_REPLY, message)

    def _broken(self, course: Course, one: _Try, url: str, error: TransportError) -> AttemptFailedError:
        self._server.check_open()
        if not error.was_sent:
            self._server.lost()
            return self._failed(course, one, FailureKind.CONNECT, f"cannot connect to {url}: {error}")
        course.live = one.samples if error.was_answered else one.live
        if error.was_answered:
            return self._failed(course, one, FailureKind.BAD_REPLY, f"{url}: {error}")
        if not error.was_idle:
            self._server.lost()
        message = f"the connection to {url} broke: {error}"
        return self._failed(course, one, FailureKind.DISCONNECT, message, is_stale=error.was_idle)

    def _refused(
        self, course: Course, one: _Try, status: int, fault: Fault, headers: Mapping[str, str]
    ) -> AttemptFailedError:
        if status >= 500 and len(one.outgoing.rids) > 1:
            # One sample failed or found no room; SGLang before 0.5.23 goes on with the others, unread.
            course.live = one.samples
        if fault.kind is FailureKind.BUSY:
            self._server.refused()
        if status in {404, 405}:
            message = f"{one.samples.base} has no {one.outgoing.path}: is it the address of an SGLang server?"
        else:
            message = f"the server says: {fault.message}"
        return self._failed(course, one, fault.kind, message, status, fault.body, asked_to_wait=retry_after(headers))

    def _failed(
        self,
        course: Course,
        one: _Try,
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
        course.attempts.append(attempt)
        self._server.counters.failures[kind] += 1
        self._server.tell(AttemptFailed(one.outgoing.path, attempt))
        _log.debug("attempt %d of %s failed: %s", len(course.attempts), one.outgoing.path, attempt.outcome)
        return AttemptFailedError(attempt, message, body, is_stale=is_stale, asked_to_wait=asked_to_wait)

    def _give_up_in_background(self, one: _Try) -> None:
        if one.receiving:
            self._server.aborter.detach(self._give_up_stream(one))
        else:
            self._server.aborter.stop_later(one.live)

    async def _give_up_stream(self, one: _Try) -> None:
        try:
            await self._server.aborter.stop(one.live)
        finally:
            for receiving in one.receiving:
                receiving.cancel()
                got: HttpStream | HttpReply | BaseException
                (got,) = await asyncio.gather(receiving, return_exceptions=True)
                if not isinstance(got, BaseException | HttpReply):
                    await got.aclose()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
