"""Paths of token ids that share their beginnings: how many tokens they are, each counted once."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from .id_forest import IdForest
from .id_runs import ID_BYTES

if TYPE_CHECKING:
    from ..prefix import Prefix

__all__ = ["Paths"]


class Paths(IdForest):
    """Tries. Unlike :class:`PrefixTree` they know neither pages nor ages: nothing goes that was not dropped.

    A node is a number, and 0 is no node. When a node is split it remains the lower part, so the number stands for the
    same path for as long as that is held.

    Attributes:
        tokens: of all paths, those that several of one root share counted once.
        ends: of each node, how many paths in use end there; none of what was dropped.
        was_sent: of each node, whether a prompt ended there, so that its last token was computed too.
        counted: of each node, 1 more than the deepest level that it counts on (:class:`PublishedKV`); 0 of none.
    """

    def __init__(self) -> None:
        super().__init__(ID_BYTES)
        self.tokens = 0
        self.ends, self.was_sent, self.counted = self.column(), self.column(), self.column()
        self._first = self.column()  # what was sampled after a node, or made of it by hand: the last of these uses
        self._to, self._to_age, self._then = array("q", [0]), array("q", [0]), array("q", [0])  # of each use
        self._spare = 0  # uses that are none now, each with the next
        self._tops: dict[str | None, int] = {}

    def root(self) -> int:
        """A new root."""
        return self._clean(super().root())

    def top(self, namespace: str | None) -> int:
        """Where the paths of a namespace begin; different ones share nothing."""
        node = self._tops.get(namespace)
        if node is None:
            node = self._tops[namespace] = self.root()
        return node

    def put(self, node: int, rest: bytes) -> int:
        """Hold these ids after a node.

        Returns:
            The node that ends with them.
        """
        at = 0
        if self.child[node]:
            length = self.end[node]
            node, at = self.walk(node, rest)
            length += at // ID_BYTES
            if self.end[node] > length:
                node = self._clean(self.split(node, length))
        if at < len(rest):
            node = self._clean(self.grow(node, rest, at))
            self.tokens += (len(rest) - at) // ID_BYTES
        return node

    def add(self, node: int, rest: bytes) -> int:
        """A path that goes on from a node with these ids is in use.

        Returns:
            Where it ends.
        """
        leaf = self.put(node, rest)
        self.ends[leaf] += 1
        if self.parent[node]:  # a root is never given up
            self._use(node, leaf)
        return leaf

    def prune(self, node: int) -> None:
        """One path that ends at a node is given up; when it was the last, so is all that was sampled after it."""
        given_up = [node]
        for each in given_up:
            self.release(each)
            if not self.ends[each]:
                given_up += self._unused_after(each)

    def forget(self, node: int, leaf: int) -> None:
        """Of the uses after a node one that ends at a leaf was given up; giving up the node must not do so again."""
        before, use = 0, self._first[node]
        while use and not (self._to[use] == leaf and self._to_age[use] == self._removed[leaf]):
            before, use = use, self._then[use]
        if not use:
            return
        if before:
            self._then[before] = self._then[use]
        else:
            self._first[node] = self._then[use]
        self._then[use], self._spare = self._spare, use

    def seek(self, node: int, rest: bytes) -> int:
        """The node that ends with these ids after ``node``, if a path in use does; else 0."""
        length = self.end[node] + len(rest) // ID_BYTES
        node, at = self.walk(node, rest)
        return node if at == len(rest) and self.end[node] == length and self.ends[node] else 0

    def computed(self, top: int, prefix: Prefix) -> int:
        """Tokens from the beginning of ``prefix`` that were computed for the paths held below ``top``.

        The last token that a sample generated is computed only when somebody continues after it.
        """
        if not self.child[top]:
            return 0
        node, at = self.walk(top, prefix.path_bytes)
        length = at // ID_BYTES
        is_computed = not length or length < self.end[node] or self.child[node] or self.was_sent[node]
        return length if is_computed else length - 1

    def release(self, node: int) -> None:
        """One path that ended at a node is not in use any more: what was held for it alone is dropped."""
        self.ends[node] -= 1
        while not self.ends[node] and not self.child[node] and self.parent[node]:
            node = self._drop(node)

    def drop_all(self, top: int) -> None:
        """Hold nothing below a root any more, nor the root."""
        nodes = [top]
        for node in nodes:
            nodes += self.children(node)
        for node in reversed(nodes):
            self._unused_after(node)
            self._drop(node)

    def _drop(self, node: int) -> int:
        self.tokens -= self.end[node] - self.end[self.parent[node]]
        return self.remove(node)

    def _clean(self, node: int) -> int:
        self.ends[node] = self.was_sent[node] = self.counted[node] = self._first[node] = 0
        return node

    def _use(self, node: int, leaf: int) -> None:
        use = self._spare
        if use:
            self._spare = self._then[use]
        else:
            use = len(self._to)
            for column in (self._to, self._to_age, self._then):
                column.append(0)
        # The leaf may be gone before the node is, and its number another's.
        self._to[use], self._to_age[use] = leaf, self._removed[leaf]
        self._then[use], self._first[node] = self._first[node], use

    def _unused_after(self, node: int) -> list[int]:
        """Forget all uses after a node.

        Returns:
            Where they end.
        """
        ends: list[int] = []
        use, self._first[node] = self._first[node], 0
        while use:
            leaf = self._to[use]
            if self._to_age[use] == self._removed[leaf]:
                ends.append(leaf)
            following = self._then[use]
            self._then[use], self._spare = self._spare, use
            use = following
        return ends

    def __repr__(self) -> str:
        return f"Paths({self.tokens} tokens)"
