"""Lets expands leave together: each that is ready asks, and one timer wakes all that have to wait."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .._core.departures import Departures
from ..errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from .deadline import Deadline

__all__ = ["Dispatcher"]

_LOOKS = 8  # an interval, at what runs: those for whose sake others wait may have ended


class Dispatcher:
    """Lets expands wait for :class:`Departures`, which decide. A departure lasts for one turn of the event loop."""

    def __init__(self, interval: float, running: Callable[[], int]) -> None:
        """Make it.

        Args:
            interval: seconds from one departure to the next at most.
            running: how many samples the server has now.
        """
        self._departures = Departures[asyncio.Future[None]](interval)
        self._look_every = interval / _LOOKS
        self._running = running
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    @property
    def waiting(self) -> int:
        """Expands that wait for a departure."""
        return self._departures.waiting

    def leaves(self, samples: int) -> bool:
        """Whether an expand that is ready leaves now: then it is sent before anything else is awaited.

        Args:
            samples: of it.
        """
        if not self._departures.is_open:
            if not self._departures.leaves(samples, self._running(), self._loop.time()):
                return False
            self._loop.call_soon(self._departures.close)
        return True

    async def departure(self, samples: int, deadline: Deadline) -> None:
        """Wait for the next departure. Until something else is awaited then, :meth:`leaves` says yes.

        Cancelling it gives the place up.

        Args:
            samples: of the expand that waits.
            deadline: of its call.

        Raises:
            DeadlineExceededError: it came first.
            ConfigurationError: the client was closed.
        """
        if self._is_closed:
            raise _closed()
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._departures.wait(waiter, samples, self._loop.time())
        self._set_timer()
        try:
            async with deadline.limit("no departure came"):
                await waiter
        finally:
            self._departures.cancel(waiter)
            if not self._departures.waiting:
                self._stop_timer()

    def close(self) -> None:
        """Who still waits is told that the client is closed."""
        self._is_closed = True
        self._stop_timer()
        for waiter in self._departures.leave(self._loop.time()):
            if not waiter.done():
                waiter.set_exception(_closed())

    def _set_timer(self) -> None:
        now = self._loop.time()
        at = min(self._departures.leave_at(self._running(), now), now + self._look_every)
        if self._timer is None or at < self._timer.when():
            self._stop_timer()
            self._timer = self._loop.call_at(at, self._look)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        now = self._loop.time()
        if self._departures.leave_at(self._running(), now) > now:
            self._set_timer()
        else:
            self._depart()

    def _depart(self) -> None:
        for waiter in self._departures.leave(self._loop.time()):
            if not waiter.done():  # cancelled, and not yet told so
                waiter.set_result(None)
        self._loop.call_soon(self._departures.close)  # behind those that wake


def _closed() -> ConfigurationError:
    return ConfigurationError("this client was closed before this call left")
