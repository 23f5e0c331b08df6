"""Notices attempts whose reply should long have come, and those whose call is out of time."""

from __future__ import annotations

import asyncio
from typing import Protocol

__all__ = ["Watchdog"]

_MOST_SECONDS = 1.0


class _Watched(Protocol):
    """An attempt, on the running loop's clock. It is ended once."""

    @property
    def start(self) -> float:
        """When it began: just now."""
        ...

    @property
    def deadline(self) -> float:
        """When its call is out of time, or infinity."""
        ...

    def due(self) -> float:
        """When it is overdue, by what is known now."""
        ...

    def end(self) -> None:
        """It is one or the other."""
        ...

    def __hash__(self) -> int: ...


class Watchdog:
    """Looks at all attempts every now and then, with what is known by then.

    An attempt's time is not fixed when it begins: nothing is known of a server's speed while its first requests run,
    and those that get no reply must not wait as long as the slowest of all servers would need.

    The call's deadline is fixed and kept to the millisecond, but most are minutes away and never come: an attempt gets
    a timer when its deadline may be the next to come, and until then it costs one comparison a look. A timer for each,
    in the loop's heap for the ten minutes of a call's default, took a tenth of an expand.
    """

    def __init__(self, least: float) -> None:
        """Watch nothing yet.

        Args:
            least: seconds, the shortest time that any attempt has; four looks fit in it.
        """
        self._interval = min(_MOST_SECONDS, least / 4)
        self._watched: dict[_Watched, asyncio.TimerHandle | None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, attempt: _Watched) -> None:
        """End an attempt when its time is over, unless it is forgotten before."""
        self._watched[attempt] = None
        if attempt.deadline <= attempt.start + 2 * self._interval:
            self._await_deadline(attempt)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._interval, self._look)

    def forget(self, attempt: _Watched) -> None:
        """The attempt has ended."""
        timer = self._watched.pop(attempt, None)
        if timer is not None:
            timer.cancel()

    def end_all(self) -> None:
        """End all attempts now."""
        for attempt in list(self._watched):
            self._end(attempt)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        soon = now + 2 * self._interval  # the next look may be late
        for attempt, timer in list(self._watched.items()):
            if attempt.due() <= now:
                self._end(attempt)
            elif timer is None and attempt.deadline <= soon:
                self._await_deadline(attempt)
        self._timer = loop.call_later(self._interval, self._look) if self._watched else None

    def _await_deadline(self, attempt: _Watched) -> None:
        self._watched[attempt] = asyncio.get_running_loop().call_at(attempt.deadline, self._end, attempt)

    def _end(self, attempt: _Watched) -> None:
        self.forget(attempt)
        attempt.end()
