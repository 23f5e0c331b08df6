"""When expands leave, so that those which become ready one by one share a prefill step of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Departures"]

W = TypeVar("W", bound="Hashable")

_PREFILL_STEP = 0.01  # seconds; a third or three times of it loses a twentieth, as the least is flat


class Departures(Generic[W]):
    """A timetable. Times are seconds on one clock that never goes back; the caller reads it.

    While a server prefills, nothing decodes: a departure costs a prefill step of all that run. So those that wait leave
    when they have lost as much by waiting, in samples times seconds. Where expands become ready all the time that is
    also when both together are least. The server's pace and the number of its samples need not be known.

    Waiting is for the sake of those that run, so nobody waits where no fewer samples want to leave than run: a first
    expand, a whole level, the other samples of a cold root. Nor does anybody when the last departure was an interval
    ago.

    A departure is open from its beginning to :meth:`close`, for all that are ready in the same moment.
    """

    __slots__ = ("_interval", "_is_open", "_last", "_lost", "_lost_at", "_samples", "_waiting")

    def __init__(self, interval: float) -> None:
        """Nobody has left yet.

        Args:
            interval: seconds from one departure to the next at most.
        """
        self._interval = interval
        self._last = float("-inf")
        self._is_open = False
        self._waiting: dict[W, int] = {}
        self._samples = 0
        self._lost = 0.0  # sample-seconds that were waited until `_lost_at`
        self._lost_at = 0.0

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

    def wait(self, one: W, samples: int, now: float) -> None:
        """It did not leave, and waits behind the others."""
        self._lost, self._lost_at = self._lost_until(now), now
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
        at = self._next(self._samples, running, now)
        if self._samples:
            at = min(at, now + max(0.0, running * _PREFILL_STEP - self._lost_until(now)) / self._samples)
        return at

    def leave(self, now: float) -> list[W]:
        """All that wait leave.

        Returns:
            They, in the order in which they came.
        """
        leaving = list(self._waiting)
        self._waiting.clear()
        self._samples = 0
        self._lost = 0.0
        self._begin(now)
        return leaving

    def close(self) -> None:
        """The departure is over: whoever is ready from now on waits for another one."""
        self._is_open = False

    def _next(self, samples: int, running: int, now: float) -> float:
        return now if samples >= running else self._last + self._interval

    def _lost_until(self, now: float) -> float:
        return self._lost + self._samples * (now - self._lost_at)

    def _begin(self, now: float) -> None:
        self._last = now
        self._is_open = True
