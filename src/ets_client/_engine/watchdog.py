"""Notices attempts whose reply should long have come."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Watchdog"]

_MOST_SECONDS = 1.0


class Watchdog:
    """Looks at all attempts every now and then, with what is known by then.

    An attempt's time is not fixed when it begins: nothing is known of a server's speed while its first requests run,
    and those that get no reply must not wait as long as the slowest of all servers would need.
    """

    def __init__(self, least: float) -> None:
        """Watch nothing yet.

        Args:
            least: seconds, the shortest time that any attempt has; four looks fit in it.
        """
        self._interval = min(_MOST_SECONDS, least / 4)
        self._watched: dict[asyncio.Timeout, Callable[[], float]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, scope: asyncio.Timeout, due: Callable[[], float]) -> None:
        """Make a scope time out when its attempt is overdue.

        Args:
            scope: round the attempt.
            due: when it is, on the running loop's clock, by what is known now.
        """
        self._watched[scope] = due
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._interval, self._look)

    def forget(self, scope: asyncio.Timeout) -> None:
        """The attempt has ended."""
        self._watched.pop(scope, None)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for scope in [scope for scope, due in self._watched.items() if due() <= now]:
            del self._watched[scope]
            scope.reschedule(now)
        self._timer = loop.call_later(self._interval, self._look) if self._watched else None
