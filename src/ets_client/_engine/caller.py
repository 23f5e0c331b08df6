"""One call: attempts until one succeeds, the policy says stop, or the time is over."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from .._core.pace import Work
from .._core.retry import AwaitRoom, AwaitServer, Resend, Stop
from ..errors import DeadlineExceededError, FailureKind, ServerUnreachableError
from ..retry import RetryPolicy
from .attempt import Attempter
from .course import Course
from .exchange import Question
from .failure import AttemptFailedError, final_error
from .gate import GateClosedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
    from typing import Any

    from tenacity import RetryCallState

    from .._transport.base import TransportError
    from .aborter import Live
    from .counters import Counters
    from .deadline import Deadline
    from .exchange import Exchange
    from .open_call import OpenCall
    from .outgoing import Outgoing
    from .pending import PendingCall
    from .server import Server

__all__ = ["Caller"]

_PLAIN_SECONDS = 60.0  # for a try that generates nothing
_BUDGET_SECONDS = 0.1
_ABORT_TRIES = 3
_CLOSING_TURNS = 100
_ONCE = RetryPolicy(attempts=1)
_log = logging.getLogger("ets_client")
T = TypeVar("T")


class Caller:
    """Sends calls to one server and repeats what may be repeated.

    Cancelling a call tells the server to stop the samples of the running try, in the background, and lets the
    cancellation through at once. An abort is given up when the server has taken none for 2 s.
    """

    def __init__(self, server: Server) -> None:
        """Make a caller of that server."""
        self._server = server
        self._attempter = Attempter(server)
        self._send = self._attempter.send
        self._opened: set[OpenCall] = set()
        self._repeating: set[asyncio.Timeout] = set()  # of calls that wait or are on another try

    def call(
        self,
        make: Callable[[], Outgoing],
        read: Callable[[bytes], T],
        deadline: Deadline,
        work: Work | float = _PLAIN_SECONDS,
        *,
        did: Callable[[T], Work] | None = None,
        before_resend: Callable[[], Awaitable[object]] | None = None,
        call: PendingCall | None = None,
    ) -> Coroutine[Any, Any, T]:
        """Ask one question.

        Args:
            make: see :meth:`Exchange.write`.
            read: see :meth:`Exchange.read`.
            deadline: end of all tries and the waits between them.
            work: what a try asks for, or seconds after which one is given up.
            did: see :meth:`Exchange.did`.
            before_resend: see :meth:`Exchange.again`.
            call: the call of a search that asks; see :class:`Course`.

        Returns:
            What ``read`` made of the first good reply.

        Raises:
            RequestError: the call failed; which subclass says why.
            ConfigurationError: the client is closed, or another model is served there now.
        """
        return self.exchange(Question(make, read, did, before_resend), deadline, work, call)

    def exchange(
        self, exchange: Exchange[T], deadline: Deadline, work: Work | float, call: PendingCall | None
    ) -> Coroutine[Any, Any, T]:
        """Make one call.

        Args:
            exchange: what is sent, and how its reply is read.
            deadline: end of all tries and the waits between them.
            work: what a try asks for, or seconds after which one is given up.
            call: the call of a search that asks; see :class:`Course`.

        Returns:
            What was read of the first good reply.

        Raises:
            RequestError: the call failed; which subclass says why.
            ConfigurationError: the client is closed, or another model is served there now.
        """
        return self._run(Course(exchange, deadline, self._server.policy, work, call), self._send)

    async def once(self, make: Callable[[], Outgoing], read: Callable[[bytes], T], deadline: Deadline) -> T:
        """Make one call without retries, now, whatever is known of the server: a question whether it is there.

        Args:
            make: builds the try.
            read: reads the reply's body.
            deadline: its end.

        Raises:
            RequestError: it failed.
            ConfigurationError: the client is closed.
        """
        return await self._run(Course(Question(make, read), deadline, _ONCE, deadline.seconds), self._send)

    async def open(
        self,
        make: Callable[[], Outgoing],
        deadline: Deadline,
        work: Work | float = _PLAIN_SECONDS,
        *,
        before_resend: Callable[[], Awaitable[object]] | None = None,
        call: PendingCall | None = None,
    ) -> OpenCall:
        """Make one call whose reply is a stream. Once it has begun nothing is repeated.

        Args:
            make: builds a try.
            deadline: end of all tries until the stream begins.
            work: what a try asks for, or seconds after which one is given up.
            before_resend: awaited before every try that does not go out at once: what was known may be old.
            call: the call of a search that asks; see :class:`Course`.

        Raises:
            RequestError: no stream began; which subclass says why.
            ConfigurationError: the client is closed, or another model is served there now.
        """
        question = Question(make, bytes, before_resend=before_resend)
        opened = await self._run(Course(question, deadline, self._server.policy, work, call), self._attempter.open)
        self._opened.add(opened)
        return opened

    def sample_ended(self, call: OpenCall, rid: str) -> None:
        """A sample of a stream has ended: nothing needs to abort it, and the server has one less."""
        if rid in call.unfinished:
            call.unfinished.remove(rid)
            self._server.counters.samples -= 1

    async def close(self, call: OpenCall) -> None:
        """End a stream. What has not finished is aborted first: SGLang 0.5.18 goes on after a mere disconnect."""
        if call not in self._opened:
            return
        self._opened.discard(call)
        self._attempter.ended(call)
        if not call.unfinished:
            await call.aclose()
            return

        async def stop() -> None:
            try:
                rids = tuple(rid for rid in call.live.rids if rid in call.unfinished)
                await self._server.aborter.stop(replace(call.live, rids=rids))
            finally:
                await call.aclose()

        self._server.aborter.detach(stop())

    def lost(self, error: TransportError, rids: tuple[str, ...]) -> ServerUnreachableError:
        """Note that a stream broke, and make the error for it.

        Raises:
            ConfigurationError: the client is closed, which broke it.
        """
        self._server.check_open()
        self._server.lost()
        return ServerUnreachableError(f"the connection broke in the middle of a stream: {error}", rids=rids)

    async def abort(self, rids: tuple[str, ...]) -> None:
        """Tell the server to stop these samples. Errors are ignored: they may have ended, or it takes no aborts."""
        await self._server.aborter.stop(self._server.live(rids))

    async def aclose(self) -> None:
        """Take no more calls, end those that run or wait, and stop their samples; 4 s at most."""
        server = self._server
        server.is_closed = True
        await asyncio.gather(*map(self.close, list(self._opened)))
        await server.gate.aclose()
        self._attempter.end_all()
        for scope in self._repeating:
            if not scope.expired():
                scope.reschedule(asyncio.get_running_loop().time())
        for _ in range(_CLOSING_TURNS):
            if not (server.counters.in_flight or self._repeating):
                break
            await asyncio.sleep(0)  # they see their end a turn of the loop later, and leave their aborts
        await server.aborter.finish()

    def seconds_of_prefill(self, tokens: int) -> float:
        """How long the server takes for so many prompt tokens, at the slowest pace seen lately."""
        server = self._server
        known = server.pace.expected(Work(1, 1, tokens), server.counters.samples + 1)
        return server.policy.patience if known is None else known

    @property
    def counters(self) -> Counters:
        """What was done so far."""
        return self._server.counters

    async def _run(self, course: Course[Any], attempt: Callable[[Course[Any]], Awaitable[T]]) -> T:
        server = self._server
        server.check_open()
        server.counters.calls += 1
        server.budget.earn()
        try:
            if not server.gate.is_open and course.policy is not _ONCE:
                async with self._explained(course):
                    await server.gate.enter()
                    await course.exchange.again()
            return await attempt(course)  # straight: tenacity costs 35 µs a call, and nearly every first try succeeds
        except AttemptFailedError as failure:
            first = failure
        async with self._explained(course):
            return await self._repeat(course, attempt, first)

    async def _repeat(
        self, course: Course[Any], attempt: Callable[[Course[Any]], Awaitable[T]], first: AttemptFailedError
    ) -> T:
        from tenacity import AsyncRetrying, retry_if_exception_type

        failed = [first]

        async def once() -> T:
            if failed:
                raise failed.pop()
            await self._prepare(course)
            return await attempt(course)

        def gives_up(state: RetryCallState) -> bool:
            failure = state.outcome.exception() if state.outcome is not None else None
            assert isinstance(failure, AttemptFailedError)  # noqa: S101 - nothing else is repeated
            course.note(failure, self._server)
            return isinstance(course.decision, Stop)

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(AttemptFailedError), stop=gives_up, sleep=self._wait(course), reraise=True
        )
        return await retrying(once)

    @contextlib.asynccontextmanager
    async def _explained(self, course: Course[Any]) -> AsyncGenerator[None]:
        """Hold the deadline; turn what the engine raises into what callers know; leave nothing running."""
        scope = asyncio.timeout_at(course.deadline.at)
        self._repeating.add(scope)
        try:
            async with scope:
                yield
        except AttemptFailedError as failure:
            raise final_error(failure, course.attempts) from failure.__cause__
        except GateClosedError as closed:
            raise self._server.not_available(closed, course.attempts) from None
        except DeadlineExceededError:
            raise  # of the last try or of what stood before it, which know more
        except TimeoutError:
            self._server.check_open()
            raise course.deadline.missed(course.attempts) from None
        finally:
            self._repeating.discard(scope)
            self._server.aborter.stop_later(course.live)

    def _wait(self, course: Course[Any]) -> Callable[[float], Awaitable[None]]:
        """What tenacity does between tries: wait for the time, the server, or room."""

        async def wait(_: float) -> None:
            server, decision = self._server, course.decision
            if course.asked_to_wait:
                await server.sleep(min(course.asked_to_wait, server.policy.most_wait))
            if isinstance(decision, AwaitServer | AwaitRoom):
                outages = server.gate.outages
                await server.gate.enter()
                course.was_gone = server.gate.outages > outages
            if isinstance(decision, AwaitServer | Resend) and decision.wait > 0:
                await server.sleep(decision.wait)

        return wait

    async def _prepare(self, course: Course[Any]) -> None:
        """Before another try: nothing of the last one runs any more, and the budget has one."""
        server, decision = self._server, course.decision
        if course.live is not None:
            await self._stop(course.live)  # never two live tries of a sample
            course.live = None
        if course.was_gone and course.attempts[-1].kind is FailureKind.CONNECT:
            course.counted -= 1
        is_charged = isinstance(decision, AwaitServer | Resend) and decision.is_charged and not course.was_gone
        while is_charged and not server.budget.take(asyncio.get_running_loop().time()):
            await server.sleep(max(_BUDGET_SECONDS, server.policy.most_wait * server.jitter()))
        if not server.gate.has_answered:
            await server.address.refresh()
        server.counters.resends += 1
        await course.exchange.again()

    async def _stop(self, live: Live) -> None:
        server = self._server
        for _ in range(_ABORT_TRIES):
            if await server.aborter.stop(live):
                return
            server.lost()
            await server.gate.enter()
            await server.sleep(server.policy.first_wait * server.jitter())
        _log.warning("%d samples on %s may run beside their resend: no abort got through", len(live.rids), live.base)
