"""The server's radix tree, a node a step: what is resident, what is locked, what goes first."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Segment:
    """The tokens of one step (or of a root) and the path to it.

    Attributes:
        tokens: how many.
        parent: what it continues; None for a root.
        resident: whether the server holds it.
        locks: running samples that need it.
        children: resident continuations.
        used: tick of the last use.
    """

    tokens: int
    parent: Segment | None = None
    resident: bool = False
    locks: int = 0
    children: int = 0
    used: int = 0
    path: tuple[Segment, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.path = (*self.parent.path, self) if self.parent is not None else (self,)


class Cache:
    """KV tokens: of resident segments, and those that running samples have generated."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.resident = 0
        self.evictable = 0
        self.private = 0
        self.evicted = 0
        self._tick = 0
        self._offers = 0
        self._leaves: list[tuple[int, int, Segment]] = []

    @property
    def free(self) -> int:
        return self.capacity - self.resident - self.private

    @property
    def needed(self) -> float:
        """Share that cannot be evicted, as /v1/loads tells it."""
        return (self.resident - self.evictable + self.private) / self.capacity

    def missing(self, segment: Segment) -> int:
        """Tokens of the path that must be computed, without the last token."""
        return sum(part.tokens for part in segment.path if not part.resident)

    def reserve(self, tokens: int) -> bool:
        """Evict until this many are free; False when that cannot be."""
        while self.free < tokens:
            if not self._leaves:
                return False
            used, _, leaf = heapq.heappop(self._leaves)
            if leaf.resident and not leaf.locks and not leaf.children and leaf.used == used:
                self._drop(leaf)
        return True

    def insert(self, segment: Segment) -> None:
        """The path is resident; room was reserved."""
        for part in segment.path:
            if not part.resident:
                part.resident = True
                self.resident += part.tokens
                if not part.locks:
                    self.evictable += part.tokens
                if part.parent is not None:
                    part.parent.children += 1
        self._touch(segment)

    def lock(self, segment: Segment, count: int) -> None:
        for part in segment.path:
            if not part.locks and part.resident:
                self.evictable -= part.tokens
            part.locks += count

    def unlock(self, segment: Segment) -> None:
        for part in segment.path:
            part.locks -= 1
            if not part.locks and part.resident:
                self.evictable += part.tokens
        self._touch(segment)

    def _touch(self, segment: Segment) -> None:
        self._tick += 1
        for part in segment.path:
            part.used = self._tick
        for part in reversed(segment.path):
            if part.resident:
                self._offer(part)
                break

    def _offer(self, segment: Segment) -> None:
        if not segment.locks and not segment.children:
            self._offers += 1
            heapq.heappush(self._leaves, (segment.used, self._offers, segment))

    def _drop(self, leaf: Segment) -> None:
        leaf.resident = False
        self.resident -= leaf.tokens
        self.evictable -= leaf.tokens
        self.evicted += leaf.tokens
        if leaf.parent is not None:
            leaf.parent.children -= 1
            self._offer(leaf.parent)
