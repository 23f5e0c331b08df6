"""A radix tree over token ids in which a prefix that was looked for before is found without its tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._packed import packed
from .id_forest import IdForest
from .id_runs import ID_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..prefix import Prefix

__all__ = ["PrefixTree", "mark"]

_NO_BOUND = 1 << 62


class PrefixTree(IdForest):
    """Token sequences in pages. A namespace is a tree of its own, which goes when it is empty.

    Nodes are cut where SGLang cuts its own (``mem_cache/radix_cache.py``), because a node is what it evicts. Those who
    use the tree see no roots: where nothing is held, the node is 0.

    A search begins at the mark of the prefix or of its nearest ancestor that has one in this tree (``Prefix.held_at``).
    Any node on the way to a prefix's end can be its mark; whoever uses the tree sets them, by :func:`mark`.

    Attributes:
        tokens: tokens held.
        nodes: nodes held.
        tick: number of the last use; the only clock there is.
        used: of each node, the number of the last use that ended there; uses of what is below count too once that is
            removed. 0 when it is no node now.
        locks: of each node, how many running samples hold it and with it all above.
    """

    def __init__(self, page_size: int) -> None:
        """Make an empty tree of whole pages of ``page_size`` tokens."""
        super().__init__(page_size * ID_BYTES)
        self.tokens = 0
        self.nodes = 0
        self.tick = 0
        self.used, self.locks = self.column(), self.column()
        self._page_bytes = page_size * ID_BYTES
        self._roots: dict[str | None, int] = {}
        self._namespaces: dict[int, str | None] = {}

    def reach(self, prefix: Prefix, most: int = _NO_BOUND) -> tuple[int, int]:
        """How far ``prefix`` is held. Nothing is split or used by it.

        Args:
            prefix: the sequence.
            most: tokens, in whole pages, beyond which nobody asks.

        Returns:
            The node in which the held part ends, or one that reaches beyond ``most``, and the held part's length.
        """
        if (node := self.marked(prefix.held_in, prefix.held_at)) and self.end[node] >= most:
            return node, most
        top, rest = self._nearest(prefix)
        node, at = self.walk(top, rest)
        length = self.end[top] + at // ID_BYTES
        return (node, min(length, most)) if length else (0, 0)

    def match(self, prefix: Prefix, most: int) -> int:
        """Use the held part of ``prefix``, up to ``most`` tokens.

        Returns:
            The node that ends where the match does, split for it where need be.
        """
        return self.use(*self.reach(prefix, most))

    def use(self, node: int, length: int) -> int:
        """Use what is held down to ``length``.

        Args:
            node: where the path ends, behind ``length`` or there.
            length: in whole pages.

        Returns:
            The node that ends at ``length``, split for it where need be.
        """
        self.tick += 1
        if not length:
            return 0
        end, parent = self.end, self.parent
        while end[above := parent[node]] >= length:
            node = above
        self.used[node] = self.tick  # SGLang touches a node before it splits it, so both parts are used
        return self._cut(node, length) if length < end[node] else node

    def insert(self, prefix: Prefix, tail: Sequence[int] = ()) -> int:
        """Hold ``prefix`` and the ids of ``tail`` after it, down to whole pages.

        Returns:
            The node that ends there.
        """
        top = self.marked(prefix.held_in, prefix.held_at)
        if top and self.end[top] == len(prefix):
            rest = packed(tail) if tail else b""
        else:
            top, rest = self._nearest(prefix)
            if tail:
                rest += packed(tail)
        if not top and len(rest) >= self._page_bytes:
            top = self._root(prefix)
        return self.insert_below(top, rest)

    def insert_below(self, top: int, rest: bytes) -> int:
        """Hold ``rest`` after what a node ends with, down to whole pages.

        Args:
            top: the node; a root, or 0 when ``rest`` is no page.
            rest: ids, four bytes each.

        Returns:
            The node that ends there.
        """
        page = self._page_bytes
        if len(rest) % page:
            rest = rest[: len(rest) // page * page]
        node, at = self.walk(top, rest)
        if at:
            node = self.use(node, self.end[top] + at // ID_BYTES)
        else:
            self.tick += 1
            self.used[node] = self.tick
        if at < len(rest):
            return self._leaf(node, rest, at)
        return node if self.parent[node] else 0

    def part_after(self, node: int, length: int) -> int:
        """The node on the path to ``node`` that begins ``length`` tokens from the root, split for it where need be.

        Args:
            node: where the path ends, behind ``length``.
            length: in whole pages.
        """
        while self.end[self.parent[node]] > length:
            node = self.parent[node]
        if self.end[self.parent[node]] < length:
            self._cut(node, length)
        return node

    def above(self, node: int) -> int:
        """The node above another; 0 when nothing is."""
        above = self.parent[node]
        return above if self.parent[above] else 0

    def drop(self, leaf: int) -> int:
        """Drop a leaf.

        Returns:
            Its parent, which counts as used when the leaf was; 0 when the leaf was at the top.
        """
        used = self.used
        self.tokens -= self.end[leaf] - self.end[self.parent[leaf]]
        self.nodes -= 1
        above = self.remove(leaf)
        used[above] = max(used[above], used[leaf])
        used[leaf] = 0
        if self.parent[above]:
            return above
        if not self.child[above]:
            del self._roots[self._namespaces.pop(above)]
            self.remove(above)
        return 0

    def _root(self, prefix: Prefix) -> int:
        namespace = prefix.origin.namespace
        root = self._roots[namespace] = self.root()
        self._namespaces[root] = namespace
        self.locks[root] = 0
        return root

    def _nearest(self, prefix: Prefix) -> tuple[int, bytes]:
        """The node that is known to lie on the way to the end of ``prefix``, and the ids that follow it."""
        steps: list[bytes] = []
        at: Prefix | None = prefix
        node = 0
        while at is not None:
            if node := self.marked(at.held_in, at.held_at):
                break
            steps.append(at.step_bytes)
            at = at.parent
        if at is None:
            node = self._roots.get(prefix.origin.namespace, 0)
        start, end = 0 if at is None else len(at), self.end[node]
        while at is not None and start > end:  # a mark may lie before the end of its prefix
            steps.append(at.step_bytes)
            start -= len(at.step_token_ids)
            at = at.parent
        if start < end:
            steps[-1] = steps[-1][(end - start) * ID_BYTES :]
        if len(steps) == 1:
            return node, steps[0]
        return node, b"".join(reversed(steps))

    def _leaf(self, node: int, rest: bytes, at: int) -> int:
        """A new leaf below ``node``, none of whose children begins with the first page of ``rest`` from ``at`` on."""
        leaf = self.grow(node, rest, at)
        self.tick += 1  # SGLang stamps a new leaf after the path to it
        self.used[leaf] = self.tick
        self.locks[leaf] = 0
        self.tokens += (len(rest) - at) // ID_BYTES
        self.nodes += 1
        return leaf

    def _cut(self, node: int, length: int) -> int:
        upper = self.split(node, length)
        self.used[upper] = self.used[node]
        self.locks[upper] = 0
        self.nodes += 1
        return upper

    def __repr__(self) -> str:
        return f"PrefixTree({self.tokens} tokens in {self.nodes} nodes)"


def mark(prefix: Prefix, tree: PrefixTree, node: int) -> None:
    """Remember where a prefix is held, so that the next search begins there.

    Args:
        prefix: which.
        tree: that holds it.
        node: on the way to its end. 0 is not worth a mark.
    """
    if node:
        prefix.held_in, prefix.held_at = tree.mark(node)
