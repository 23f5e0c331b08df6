"""In which order a full cache gives up what nobody uses: the least recently used leaf first."""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .shadow_tree import Node

__all__ = ["EvictionOrder"]

_FEW = 64


class EvictionOrder:
    """Leaves by their last use, O(log n) each. A node stands here at most once, with its age when it came.

    A node that was used, locked or continued since is found out when its turn comes, so using one costs nothing here.
    Only leaves can be evicted and a locked node keeps all above it from being leaves, so neither locks nor uses need to
    be written to the ancestors, as SGLang does.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Node]] = []
        self._entries = count()
        self._gone = 0

    def offer(self, node: Node) -> None:
        """Take a node in, if it could be evicted now."""
        if node.parent is None or node.locks or node.children or node.is_queued:
            return
        node.is_queued = True
        heapq.heappush(self._heap, (node.used, next(self._entries), node))

    def pop(self) -> Node | None:
        """The leaf to evict next, or None when all that is left is in use."""
        while self._heap:
            used, _, node = heapq.heappop(self._heap)
            node.is_queued = False
            if node.parent is None:
                self._gone -= 1
            elif node.used != used:
                self.offer(node)
            elif not node.locks and not node.children:
                return node
        return None

    def forget(self, node: Node) -> None:
        """A node was removed before its turn: keep no more such entries than others."""
        if not node.is_queued:
            return
        self._gone += 1
        if self._gone > _FEW + len(self._heap) // 2:
            self._heap = [entry for entry in self._heap if entry[2].parent is not None]
            heapq.heapify(self._heap)
            self._gone = 0

    def __len__(self) -> int:
        return len(self._heap)
