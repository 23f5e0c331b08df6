"""SGLang's radix cache: which tokens are in KV memory, who uses them, and which go first when room is needed. Pure."""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

__all__ = ["Node", "RadixTree"]


class Node:
    """A run of tokens that all sequences below it share. Its length is a multiple of the page size."""

    __slots__ = ("children", "in_heap", "key", "locks", "parent", "used")

    def __init__(self, key: tuple[int, ...], parent: Node | None) -> None:
        self.key = key
        self.parent = parent
        self.children: dict[tuple[int, ...], Node] = {}
        self.locks = 0
        self.used = 0
        self.in_heap = False

    @property
    def depth(self) -> int:
        """Tokens from the root to the end of this node."""
        length, node = 0, self
        while node.parent is not None:
            length += len(node.key)
            node = node.parent
        return length

    def __repr__(self) -> str:
        return f"Node({len(self.key)} tokens, {len(self.children)} children, {self.locks} locks)"


class RadixTree:
    """Prefixes in pages. A namespace is a tree of its own; the room is shared.

    Attributes:
        size: tokens held.
        locked: tokens held that somebody uses, so that they cannot be evicted.
        evicted: tokens evicted since the beginning.
    """

    def __init__(self, page_size: int = 1) -> None:
        """Make an empty tree.

        Args:
            page_size: matches and insertions are rounded down to a multiple of it.
        """
        self.page_size = page_size
        self.size = 0
        self.locked = 0
        self.evicted = 0
        self._roots: dict[Hashable, Node] = {}
        self._clock = count(1)  # the order of uses is all that LRU needs
        self._heap: list[tuple[int, int, Node]] = []
        self._entries = count()

    @property
    def evictable(self) -> int:
        """Tokens that :meth:`evict` could free."""
        return self.size - self.locked

    def match(self, tokens: Sequence[int], limit: int, namespace: Hashable = None) -> Node:
        """The node at which the longest held prefix ends; nodes are split so that one ends there.

        Args:
            tokens: the sequence.
            limit: tokens that may match at most, before rounding.
            namespace: sequences of different namespaces share nothing.

        Returns:
            The node, whose :attr:`Node.depth` is the length of the match; the root when there is none.
        """
        return self._walk(self._root(namespace), tuple(tokens[: self._floor(min(limit, len(tokens)))]))[0]

    def match_length(self, tokens: Sequence[int], limit: int, namespace: Hashable = None) -> int:
        """Length of the longest held prefix, without touching anything (no split, no use)."""
        node, at = self._roots.get(namespace), 0
        wanted = tuple(tokens[: self._floor(min(limit, len(tokens)))])
        while node is not None and at < len(wanted):
            child = node.children.get(wanted[at : at + self.page_size])
            if child is None:
                break
            shared = self._shared(child.key, wanted, at)
            at += shared
            node = child if shared == len(child.key) else None
        return at

    def insert(self, tokens: Sequence[int], namespace: Hashable = None) -> Node:
        """Hold a sequence, rounded down to whole pages.

        Args:
            tokens: the sequence.
            namespace: see :meth:`match`.

        Returns:
            The node at which it ends; how much was new is the growth of :attr:`size`.
        """
        wanted = tuple(tokens[: self._floor(len(tokens))])
        node, at = self._walk(self._root(namespace), wanted)
        if at == len(wanted):
            return node
        leaf = Node(wanted[at:], node)
        leaf.used = next(self._clock)
        node.children[leaf.key[: self.page_size]] = leaf
        self.size += len(leaf.key)
        self._offer(leaf)
        return leaf

    def lock(self, node: Node) -> None:
        """Keep a node and all above it from eviction until :meth:`unlock`."""
        while node.parent is not None:
            node.locks += 1
            if node.locks == 1:
                self.locked += len(node.key)
            node = node.parent

    def unlock(self, node: Node) -> None:
        """Undo one :meth:`lock` of this node."""
        while node.parent is not None:
            node.locks -= 1
            if node.locks == 0:
                self.locked -= len(node.key)
                self._offer(node)
            node = node.parent

    def evict(self, tokens: int) -> int:
        """Drop whole leaves that nobody uses, the least recently used first.

        Args:
            tokens: tokens to free at least, if there are as many.

        Returns:
            Tokens freed.
        """
        freed = 0
        while freed < tokens and self._heap:
            used, _, node = heapq.heappop(self._heap)
            node.in_heap = False
            parent = node.parent
            if node.locks or node.children or parent is None:
                continue
            if node.used != used:  # it was used after it was offered: it waits again, with its new age
                self._offer(node)
                continue
            del parent.children[node.key[: self.page_size]]
            node.parent = None
            freed += len(node.key)
            self._offer(parent)
        self.size -= freed
        self.evicted += freed
        return freed

    def clear(self) -> None:
        """Forget everything that is not locked by forgetting all; callers flush only when nothing runs."""
        self._roots.clear()
        self._heap.clear()
        self.size = self.locked = 0

    def sequences(self, namespace: Hashable = None) -> Iterator[tuple[int, ...]]:
        """All held sequences that no longer one contains, in no order; for tests and for looking."""
        root = self._roots.get(namespace)
        pending: list[tuple[Node, tuple[int, ...]]] = [(root, ())] if root is not None else []
        while pending:
            node, path = pending.pop()
            path += node.key
            if not node.children and path:
                yield path
            pending.extend((child, path) for child in node.children.values())

    def _root(self, namespace: Hashable) -> Node:
        root = self._roots.get(namespace)
        if root is None:
            root = self._roots[namespace] = Node((), None)
        return root

    def _walk(self, node: Node, wanted: tuple[int, ...]) -> tuple[Node, int]:
        at, now, page = 0, next(self._clock), self.page_size
        while at < len(wanted):
            child = node.children.get(wanted[at : at + page])
            if child is None:
                break
            shared = self._shared(child.key, wanted, at)
            child.used = now  # before the split, as SGLang does: the part below the match is younger for it, too
            if shared < len(child.key):
                child = self._split(child, shared)
            at += shared
            node = child
        return node, at

    def _shared(self, key: tuple[int, ...], wanted: tuple[int, ...], at: int) -> int:
        most = min(len(key), len(wanted) - at)
        if key[:most] == wanted[at : at + most]:
            return most
        for place in range(0, most, self.page_size):
            if key[place : place + self.page_size] != wanted[at + place : at + place + self.page_size]:
                return place
        raise AssertionError("the slices differ, so a page does")

    def _split(self, node: Node, at: int) -> Node:
        parent = node.parent
        assert parent is not None  # noqa: S101 - a root has no key to split
        upper = Node(node.key[:at], parent)
        upper.locks, upper.used = node.locks, node.used
        parent.children[upper.key[: self.page_size]] = upper
        node.key = node.key[at:]
        node.parent = upper
        upper.children[node.key[: self.page_size]] = node
        return upper

    def _offer(self, node: Node) -> None:
        if node.parent is None or node.locks or node.children or node.in_heap:
            return
        node.in_heap = True
        heapq.heappush(self._heap, (node.used, next(self._entries), node))

    def _floor(self, length: int) -> int:
        return max(0, length) // self.page_size * self.page_size

    def __repr__(self) -> str:
        return f"RadixTree({self.size} tokens, {self.locked} locked, {self.evicted} evicted)"
