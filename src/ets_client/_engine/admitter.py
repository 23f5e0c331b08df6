"""Gives expands their turn: no more samples in flight than are good for the server, started trees first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .._core.admission import Admission
from .._core.limiter import Busy, Load
from ..errors import ConfigurationError, RequestError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable
    from typing import Self

    from .._core.admission import Admitted
    from .._core.limiter import Limits
    from .._core.ticket import Ticket
    from ..server_info import WorkerLoad
    from .deadline import Deadline

__all__ = ["Admitter", "Turn"]

_LOOK_SECONDS = 1.0


class Turn:
    """The permits of one expand. Whatever was not told to have ended well comes back when it is closed, or left."""

    __slots__ = ("_admitted", "_admitter")

    def __init__(self, admitter: Admitter, admitted: Admitted) -> None:
        self._admitter = admitter
        self._admitted = admitted

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def done(self, samples: int, tokens: int) -> None:
        """Samples ended. What they tell of the server is learnt, unless they have generated nothing.

        Args:
            samples: how many.
            tokens: what they have generated together.
        """
        self._admitter.ended(self._admitted, samples, tokens)

    def close(self) -> None:
        """Nothing of it runs any more."""
        self._admitter.given_up(self._admitted)


class Admitter:
    """Lets expands wait in :class:`Admission`, which decides."""

    def __init__(
        self,
        limits: Limits,
        loads: Callable[[], Awaitable[tuple[WorkerLoad, ...]]] | None,
        kv_tokens: int | None = None,
    ) -> None:
        """Make it.

        Args:
            limits: of samples in flight.
            loads: asks the server for its load now, for a limit that adapts itself; None for one that does not.
            kv_tokens: what the server's KV cache holds, or None when that is not known.
        """
        self._admission = Admission(limits, kv_tokens=kv_tokens)
        self._loads = loads
        self._waiting: dict[Ticket, asyncio.Future[Admitted]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def limit(self) -> int:
        """Samples that may be in flight now."""
        return self._admission.limit

    @property
    def waiting(self) -> int:
        """Expands that wait for their turn."""
        return len(self._waiting)

    async def turn(self, ticket: Ticket, deadline: Deadline) -> Turn:
        """Wait for the turn of an expand. Cancelling it gives the place up.

        Args:
            ticket: of the expand.
            deadline: of its call.

        Raises:
            DeadlineExceededError: the turn did not come in time.
        """
        admitted = self._admission.enter(ticket, self._now())
        if admitted is not None:
            self._look_at_load()
            return Turn(self, admitted)
        waiter: asyncio.Future[Admitted] = asyncio.get_running_loop().create_future()
        self._admission.push(ticket)
        self._waiting[ticket] = waiter
        self._let_pass()
        try:
            async with deadline.limit("no turn came"):
                return Turn(self, await waiter)
        except BaseException:
            self._waiting.pop(ticket, None)
            if self._admission.cancel(ticket):
                self._let_pass()
            elif waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.given_up(waiter.result())
            raise

    def ended(self, admitted: Admitted, samples: int, tokens: int) -> None:
        """See :meth:`Turn.done`."""
        if tokens:
            self._admission.done(admitted, self._now(), samples=samples, tokens=tokens)
        else:
            self._admission.drop(admitted, self._now(), samples=samples)
        self._let_pass()

    def given_up(self, admitted: Admitted) -> None:
        """See :meth:`Turn.close`."""
        if admitted.running:
            self._admission.drop(admitted, self._now(), samples=admitted.running)
            self._let_pass()

    def refused(self) -> None:
        """The server was full."""
        self._admission.observe(Busy(self._now()))

    def finish(self, tree: Hashable) -> None:
        """No more expands of this tree will come."""
        self._admission.finish(tree)
        self._let_pass()

    async def aclose(self) -> None:
        """Stop looking at the server's load; who still waits is told that the client is closed."""
        for waiter in self._waiting.values():
            if not waiter.done():
                waiter.set_exception(ConfigurationError("this client was closed before the turn of this call came"))
        if self._timer is not None:
            self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    def _let_pass(self) -> None:
        if not self._waiting:
            return
        now = self._now()
        while (admitted := self._admission.pop_ready(now)) is not None:
            waiter = self._waiting.pop(admitted.ticket)
            if waiter.done():  # cancelled, and not yet told so
                self._admission.drop(admitted, now, samples=admitted.running)
            else:
                waiter.set_result(admitted)
        self._look_at_load()
        at = self._admission.wake_at
        if at is not None and (self._timer is None or self._timer.when() > at):
            if self._timer is not None:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_at(at, self._wake)

    def _wake(self) -> None:
        """A timer may come too early, as setting a new one with each reply costs more: then it is set again."""
        self._timer = None
        self._let_pass()

    def _look_at_load(self) -> None:
        if self._loads is not None and self._admission.in_flight and (self._watch is None or self._watch.done()):
            self._watch = asyncio.get_running_loop().create_task(self._watch_load(self._loads))

    async def _watch_load(self, ask: Callable[[], Awaitable[tuple[WorkerLoad, ...]]]) -> None:
        while self._admission.in_flight:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                loads = await ask()
            except RequestError:
                continue  # the calls themselves find out what is wrong
            if loads:
                waiting = sum(load.waiting_requests for load in loads)
                self._admission.observe(Load(self._now(), waiting, max(load.token_usage for load in loads)))
                self._let_pass()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
