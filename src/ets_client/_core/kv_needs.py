"""How much of the server's KV cache the trees that have started need until they are done."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .limiter import KV_CEILING

if TYPE_CHECKING:
    from collections.abc import Hashable

    from ..prefix import Prefix
    from .ticket import Ticket

__all__ = ["KvNeeds"]

_STILL_GROWS = 1.5  # a tree needs more on its later levels than on its first; until one has shown how much
_NEWS = 0.2  # weight of the latest in the means
_LONGEST_IDLE = 30.0  # seconds; a tree of which nothing was asked for so long may be computed again
_LOOK_EVERY = 1.0  # seconds


@dataclass(slots=True)
class _Tree:
    root: int  # tokens of its root that no other started tree has
    running: int = 0  # permits
    wave: int = 0  # tokens beyond the root since it last had no permits
    before: int = 0  # the same of the wave before
    peak: int = 0
    idle_since: float = 0.0

    @property
    def need(self) -> int:
        return self.root + max(self.wave, self.before)


class KvNeeds:
    """Counts by what is asked for: the root, the paths of the running expands, and what they will generate.

    When more trees start than fit, each finds its prefix evicted when its turn comes again: in the simulation of 128
    trees with roots of 1,500 tokens the server computed 6.2 times the least. Fewer samples in flight do not mend that,
    so the limit is left alone and no further tree starts.

    Paths of one level are counted as if they shared the root alone, so it errs on the safe side.
    """

    def __init__(self, capacity: int | None) -> None:
        """Count against a cache.

        Args:
            capacity: tokens that it holds; None: not known, everything fits.
        """
        self._capacity = capacity
        self._trees: dict[Hashable, _Tree] = {}
        self._total = 0
        self._typical = 0.0
        self._tokens_of_a_sample = 0.0
        self._last_root: Prefix | None = None
        self._looked_at = self._asked_at = -math.inf

    @property
    def has_room(self) -> bool:
        """Whether one more tree fits, as large as they usually get. Always while none has started."""
        if self._capacity is None or not self._trees:
            return True
        typical = self._typical or _STILL_GROWS * self._total / len(self._trees)
        return self._total + typical <= KV_CEILING * self._capacity

    def add(self, ticket: Ticket) -> None:
        """An expand goes."""
        if self._capacity is None or ticket.root is None:
            return
        tree = self._trees.get(ticket.tree)
        if tree is None:
            # Examples that all questions share are there once. Comparing with the latest tells them.
            shared = 0 if self._last_root is None or not self._trees else ticket.root.common_length(self._last_root)
            self._last_root = ticket.root
            tree = self._trees[ticket.tree] = _Tree(len(ticket.root) - shared)
            self._total += tree.need
        self._total -= tree.need
        if not tree.running:
            tree.before, tree.wave = tree.wave, 0
        tree.running += ticket.samples
        expected = min(ticket.step, self._tokens_of_a_sample or ticket.step)
        tree.wave += ticket.path + round(ticket.samples * expected)
        tree.peak = max(tree.peak, tree.need)
        self._total += tree.need

    def remove(self, ticket: Ticket, samples: int, tokens: int | None, now: float) -> None:
        """Samples ended.

        Args:
            ticket: whose.
            samples: how many.
            tokens: what they generated together; None when they failed.
            now: the time.
        """
        if tokens is not None and self._capacity is not None:
            mean = tokens / samples
            self._tokens_of_a_sample += (_NEWS if self._tokens_of_a_sample else 1.0) * (mean - self._tokens_of_a_sample)
        tree = self._trees.get(ticket.tree)
        if tree is not None:
            tree.running -= samples
            tree.idle_since = now

    def finish(self, name: Hashable) -> None:
        """No more expands of this tree will come: what it held may be evicted."""
        tree = self._trees.pop(name, None)
        if tree is not None:
            self._total -= tree.need
            self._typical += (_NEWS if self._typical else 1.0) * (tree.peak - self._typical)

    def expire(self, now: float) -> None:
        """Forget trees of which nothing was heard for long. It costs nothing to call this often."""
        if now - self._looked_at < _LOOK_EVERY:
            return
        self._looked_at = now
        self._forget(now - _LONGEST_IDLE)

    def forget_silent(self, now: float, seconds: float) -> None:
        """Forget trees of which nothing was asked for so many seconds; it looks twice in this time at most."""
        if now - self._asked_at < seconds / 2:
            return
        self._asked_at = now
        self._forget(now - seconds)

    def _forget(self, before: float) -> None:
        for name, tree in list(self._trees.items()):
            if not tree.running and tree.idle_since < before:
                self.finish(name)
