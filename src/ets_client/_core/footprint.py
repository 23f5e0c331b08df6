"""How many permits the trees that have started will soon want back."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Footprints"]

_HOLD_SHARE = 0.5  # of the time its last samples took
_LONGEST_HOLD = 5.0  # seconds


@dataclass(slots=True)
class _Tree:
    in_flight: int = 0
    peak: int = 0  # most in flight since it last had none
    footprint: int = 0  # the peak before that
    busy_since: float = 0.0
    held_until: float | None = None  # None: it has all that is kept for it
    is_finished: bool = False

    @property
    def reserved(self) -> int:
        return max(self.peak, self.footprint)  # the peak is never below what runs


class Footprints:
    """Permits that trees have, and those kept for them between two levels.

    When a level ends, its permits come back one reply after the other, and the next level is asked for only when all
    are there and scored. Whoever gives these permits away starts another tree each time: in the simulation of 64 trees
    at 256 samples twice as many trees were under way as fit, and an expand took twice as long. So a tree keeps as many
    permits as it last had at once, for half of the time that its last samples took, 5 s at most.
    """

    def __init__(self) -> None:
        self._trees: dict[Hashable, _Tree] = {}
        self._holds: list[tuple[float, int, Hashable]] = []
        self._count = 0
        self.reserved = 0

    def add(self, name: Hashable, samples: int, now: float) -> None:
        """Samples of this tree go."""
        tree = self._trees.setdefault(name, _Tree())
        before = tree.reserved
        if not tree.in_flight:
            tree.busy_since, tree.peak, tree.is_finished = now, 0, False
        tree.in_flight += samples
        tree.peak = max(tree.peak, tree.in_flight)
        if tree.in_flight == tree.reserved:
            tree.held_until = None
        self.reserved += tree.reserved - before

    def remove(self, name: Hashable, samples: int, now: float) -> None:
        """Samples of this tree ended."""
        tree = self._trees[name]
        before = tree.reserved
        tree.in_flight -= samples
        if not tree.in_flight:
            tree.footprint, tree.peak = tree.peak, 0
        if tree.held_until is None or not tree.in_flight:
            tree.held_until = now + min(_LONGEST_HOLD, _HOLD_SHARE * (now - tree.busy_since))
            self._count += 1
            heapq.heappush(self._holds, (tree.held_until, self._count, name))
        self.reserved += tree.reserved - before
        if tree.is_finished:
            self._release(name, tree)

    def finish(self, name: Hashable) -> None:
        """Nothing more will come of this tree: nothing is kept for it."""
        tree = self._trees.get(name)
        if tree is not None:
            tree.is_finished = True
            self._release(name, tree)

    def expire(self, now: float) -> None:
        """Give up what was kept long enough."""
        while self._holds and self._holds[0][0] <= now:
            until, _, name = heapq.heappop(self._holds)
            tree = self._trees.get(name)
            if tree is not None and tree.held_until == until:
                self._release(name, tree)

    @property
    def next_expiry(self) -> float | None:
        """When :meth:`expire` should be called again; None when nothing is kept. At times too early, never too late."""
        return self._holds[0][0] if self._holds else None

    def _release(self, name: Hashable, tree: _Tree) -> None:
        """Keep no more than what runs; forget a tree of which nothing runs."""
        self.reserved -= tree.reserved - tree.in_flight
        tree.footprint, tree.peak, tree.held_until = 0, tree.in_flight, None
        if not tree.in_flight:
            del self._trees[name]
