"""When expands leave, so that those which become ready one by one share a prefill step of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Departures"]

W = TypeVar("W", bound="Hashable")


class Departures(Generic[W]):
    """A timetable. Times are seconds on one clock that never goes back; the caller reads it.

    While a server prefills, nothing decodes: a departure costs time for those that run. So waiting pays only for their
    sake, and nobody waits where no fewer samples want to leave than run: a first expand, a whole level, the other
    samples of a cold root. Everybody else leaves when the last departure was an interval ago.

    A departure is open from its beginning to :meth:`close`, for all that are ready in the same moment.
    """

    __slots__ = ("_interval", "_is_open", "_last", "_samples", "_waiting")

    def __init__(self, interval: float) -> None:
        """Nobody has left yet.

        Args:
            interval: seconds from one departure to the next.
        """
        self._interval = interval
        self._last = float("-inf")
        self._is_open = False
        self._waiting: dict[W, int] = {}
        self._samples = 0

    @property
    def is_open(self) -> bool:
        """Whether whoever is ready leaves with the others."""
        return self._is_open

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def leaves(self, samples: int, running: int, now: float) -> bool:
        """Whether an expand that is ready leaves at once. No departure begins ahead of those that wait.

        Args:
            samples: of it.
            running: samples on the server.
            now: the time.
        """
        if self._is_open:
            return True
        if self._waiting or now < self._next(samples, running, now):
            return False
        self._begin(now)
        return True

    def wait(self, one: W, samples: int) -> None:
        """It did not leave, and waits behind the others."""
        self._waiting[one] = samples
        self._samples += samples

    def cancel(self, one: W) -> None:
        """It does not wait any longer; nothing changes for one that does not."""
        self._samples -= self._waiting.pop(one, 0)

    def leave_at(self, running: int, now: float) -> float:
        """When those that wait shall leave, as it looks now.

        Args:
            running: samples on the server.
            now: the time.
        """
        return self._next(self._samples, running, now)

    def leave(self, now: float) -> list[W]:
        """All that wait leave.

        Returns:
            They, in the order in which they came.
        """
        leaving = list(self._waiting)
        self._waiting.clear()
        self._samples = 0
        self._begin(now)
        return leaving

    def close(self) -> None:
        """The departure is over: whoever is ready from now on waits for another one."""
        self._is_open = False

    def _next(self, samples: int, running: int, now: float) -> float:
        return now if samples >= running else self._last + self._interval

    def _begin(self, now: float) -> None:
        self._last = now
        self._is_open = True
