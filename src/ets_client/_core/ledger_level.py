"""A number that changes over time: its peak and its integral."""

from __future__ import annotations

__all__ = ["Level"]


class Level:
    """Tokens that are held, from the first change on. Times are seconds on one clock that never goes back.

    Attributes:
        value: now.
        peak: the most there were.
    """

    __slots__ = ("_area", "_at", "_began", "_ended", "peak", "value")

    def __init__(self) -> None:
        self.value = self.peak = 0
        self._area = 0.0
        self._began: float | None = None
        self._ended: float | None = None
        self._at = 0.0

    def set(self, value: int, at: float) -> None:
        """It is ``value`` from ``at`` on."""
        if self._began is None:
            self._began = at
        else:
            self._area += self.value * (at - self._at)
        self._at, self.value = at, value
        if value > self.peak:
            self.peak = value

    def end(self, at: float) -> None:
        """It is nothing from ``at`` on, and its time is over."""
        self.set(0, at)
        self._ended = at

    def area(self, at: float) -> float:
        """The integral until ``at``."""
        return self._area + self.value * (at - self._at)

    def seconds(self, at: float) -> float:
        """How long it has been, until ``at`` or until its end."""
        if self._began is None:
            return 0.0
        return (at if self._ended is None else self._ended) - self._began

    def __repr__(self) -> str:
        return f"Level({self.value}, peak {self.peak})"
