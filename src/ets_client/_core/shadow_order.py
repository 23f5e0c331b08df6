"""In which order a full cache gives up what nobody uses: the least recently used leaf first."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .shadow_tree import PrefixTree

__all__ = ["EvictionOrder"]

_SHARE = 4  # of the leaves, those that were not used for longest are put in order together
_FEW = 64
_NODE_BITS = 32
_NODE = (1 << _NODE_BITS) - 1
_ALL = 1 << 62  # later than any use


class EvictionOrder:
    """Leaves of a tree by their last use.

    While the cache has room there is no order, and nothing to keep up. When something must go, all nodes are looked at
    and the oldest quarter of the free leaves is put into a heap; when that is used up, all are looked at again. So what
    is used or new costs nothing here, and an eviction what looking at a few nodes does.

    Only leaves can be evicted and a locked node keeps all above it from being leaves, so neither locks nor uses need to
    be written to the ancestors, as SGLang does.
    """

    def __init__(self, tree: PrefixTree) -> None:
        """Order the leaves of that tree."""
        self._tree = tree
        self._oldest: list[int] = []  # a heap: the use, and below it the node
        self._until = 0  # free leaves that were last used before this are all in the heap

    def offer(self, node: int) -> None:
        """A node may have become a free leaf: it was unlocked, or lost its last child."""
        if not node or not self._until:
            return
        tree = self._tree
        used = tree.used[node]
        if 0 < used < self._until and not tree.locks[node] and not tree.child[node]:
            heappush(self._oldest, used << _NODE_BITS | node)
            if len(self._oldest) > _FEW + 2 * self._tree.nodes:  # most of it is what was used again
                self._oldest, self._until = [], 0

    def pop(self) -> int:
        """The leaf to evict next, or 0 when all that is left is in use."""
        tree = self._tree
        while self._oldest or (self._until < _ALL and self._look()):
            entry = heappop(self._oldest)
            node = entry & _NODE
            if tree.used[node] != entry >> _NODE_BITS:
                self.offer(node)  # it was used since
            elif not tree.locks[node] and not tree.child[node]:
                return node
        return 0

    def _look(self) -> bool:
        """Put the oldest free leaves of all in order. Whether there are any."""
        tree = self._tree
        found = [
            used << _NODE_BITS | node
            for node, (used, above, child, locks) in enumerate(
                zip(tree.used, tree.parent, tree.child, tree.locks, strict=True)
            )
            if used and above and not child and not locks
        ]
        found.sort()
        taken = max(_FEW, len(found) // _SHARE)
        self._oldest = found[:taken]
        self._until = (found[taken] >> _NODE_BITS) if taken < len(found) else _ALL
        return bool(found)

    def __repr__(self) -> str:
        return f"EvictionOrder({len(self._oldest)} of {self._tree!r} in order)"
