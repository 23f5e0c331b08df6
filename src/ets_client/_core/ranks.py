"""Which data-parallel rank of a server a tree lives on."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from ..prefix import Prefix

__all__ = ["Ranks"]

_MOST_TREES = 16_384  # remembered; a few hundred bytes each
_SLACK = 1.25


class Ranks:
    """Homes of trees: each rank has a cache of its own, and SGLang's own balancing is blind to what they hold.

    A tree's root names its rank, so that several clients and a run that goes on later send it to the same one; unless
    that rank has a quarter more trees than its share, then the emptiest takes it (hashing with bounded loads).
    """

    def __init__(self, count: int, *, most_trees: int = _MOST_TREES) -> None:
        """Make it.

        Args:
            count: ranks.
            most_trees: that are remembered; the one that was used least lately is forgotten first.
        """
        self.count = count
        self._most = most_trees
        self._homes: OrderedDict[tuple[str | None, int, int], int] = OrderedDict()
        self._trees = [0] * count

    def of(self, prefix: Prefix) -> int:
        """The rank of the tree that a prefix belongs to."""
        root = prefix.root.fingerprint
        rank = self._homes.get(root)
        if rank is not None:
            self._homes.move_to_end(root)
            return rank
        rank = crc32(root[2].to_bytes(8, "big")) % self.count  # a short root's hash has few bits of its own at the end
        if self._trees[rank] + 1 > _SLACK * (len(self._homes) / self.count + 1):
            rank = min(range(self.count), key=lambda each: self._trees[each])
        self._homes[root] = rank
        self._trees[rank] += 1
        if len(self._homes) > self._most:
            self._trees[self._homes.popitem(last=False)[1]] -= 1
        return rank

    def __repr__(self) -> str:
        return f"Ranks({', '.join(map(str, self._trees))} trees)"
