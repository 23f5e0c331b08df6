"""Where calls wait while the server is gone or full."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from .._core.breaker import Breaker
from ..errors import ConfigurationError
from ..stats import ServerState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Gate", "GateClosedError"]


class GateClosedError(Exception):
    """The server did not come back, or had no room, for as long as the policy allows.

    Attributes:
        state: what it was.
        seconds: how long that is.
    """

    def __init__(self, state: ServerState, seconds: float) -> None:
        super().__init__(state)
        self.state = state
        self.seconds = seconds


class Gate:
    """Open while the server is up. Otherwise calls wait here, and one task finds out when they may go on."""

    def __init__(
        self,
        probe: Callable[[], Awaitable[bool]],
        *,
        patience: float,
        jitter: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        on_change: Callable[[ServerState], None],
    ) -> None:
        """Open it.

        Args:
            probe: asks the server whether it is there; raises what all that wait shall raise.
            patience: seconds that a call waits.
            jitter: random numbers in [0, 1).
            sleep: waits between probes.
            on_change: called with each new state.
        """
        self._probe = probe
        self._patience = patience
        self._jitter = jitter
        self._sleep = sleep
        self._on_change = on_change
        self._breaker = Breaker()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._watch: asyncio.Task[None] | None = None
        self._outages = 0
        self._is_closed = False
        self.has_answered = False

    @property
    def state(self) -> ServerState:
        """What is known of the server."""
        return self._breaker.state

    @property
    def is_open(self) -> bool:
        """Whether calls need not wait."""
        return self._breaker.state is ServerState.UP

    @property
    def was_gone(self) -> bool:
        """Whether a probe has failed since the server was lost."""
        return self._breaker.was_gone

    @property
    def outages(self) -> int:
        """How often the server was gone and came back."""
        return self._outages

    @property
    def waiting(self) -> int:
        """Calls that wait here."""
        return sum(not waiter.done() for waiter in self._waiting)

    async def enter(self) -> None:
        """Return when the server takes requests, as far as is known.

        Raises:
            GateClosedError: it did not for too long.
            ConfigurationError: the client is closed.
        """
        if self._is_closed:
            raise _closed()
        state = self._breaker.state
        if state is ServerState.UP:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        if self._watch is None or self._watch.done():
            self._watch = asyncio.get_running_loop().create_task(self._watch_server())
        try:
            async with asyncio.timeout(self._patience):
                await waiter
        except TimeoutError:
            raise GateClosedError(state, self._patience) from None

    def succeeded(self) -> None:
        """The server did what it was asked."""
        self.has_answered = True
        if self._breaker.state is ServerState.FULL:
            self._release(1)  # in the place of the one that has ended

    def lost(self) -> None:
        """A connection failed or broke, or a reply never came."""
        before = self._breaker.state
        self._breaker.lost()
        if before is not ServerState.DOWN:
            self._on_change(ServerState.DOWN)

    def refused(self) -> None:
        """The server was full."""
        self.has_answered = True
        before = self._breaker.state
        self._breaker.refused()
        if before is ServerState.UP:
            self._on_change(ServerState.FULL)

    async def aclose(self) -> None:
        """Stop looking; for those that wait, and for all that come, it is an error."""
        self._is_closed = True
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(_closed())
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def _watch_server(self) -> None:
        try:
            while self._breaker.state is not ServerState.UP:
                wait = await self._look()
                if not self._forget_the_gone():
                    break
                if wait is not None:
                    await self._sleep(wait)
        except Exception as error:  # noqa: BLE001 - of the probe: all that wait shall see it
            for waiter in self._waiting:
                if not waiter.done():
                    waiter.set_exception(error)
        if not self._forget_the_gone() and self._breaker.state is ServerState.FULL:
            self._open()
        self._release(len(self._waiting) if self._breaker.state is ServerState.UP else 0)

    async def _look(self) -> float | None:
        """Probe a server that is gone, or let some pass to one that is full. How long to wait before the next look."""
        if self._breaker.state is ServerState.FULL:
            count, wait = self._breaker.room()
            self._release(count)
            return wait * (0.5 + 0.5 * self._jitter())
        if await self._probe():
            self._outages += self._breaker.was_gone
            self._open()
            return None
        return self._breaker.probe_failed() * (0.5 + 0.5 * self._jitter())

    def _open(self) -> None:
        self._breaker.back()
        self._on_change(ServerState.UP)

    def _release(self, count: int) -> None:
        while self._waiting and count > 0:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                count -= 1

    def _forget_the_gone(self) -> bool:
        """Drop those that were cancelled; whether anybody waits."""
        self._waiting = deque(waiter for waiter in self._waiting if not waiter.done())
        return bool(self._waiting)


def _closed() -> ConfigurationError:
    return ConfigurationError("this client was closed: make a new one")
