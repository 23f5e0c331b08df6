"""A radix tree over token ids in which a prefix that was looked for before is found without its tokens."""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING

from .id_runs import ID_BYTES, common_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..prefix import Prefix

__all__ = ["Node", "PrefixTree", "mark"]

_NO_BOUND = 1 << 62


_NO_CHILDREN: dict[bytes, Node] = {}  # of all nodes that have had none, and those are most


class Node:
    """A run of tokens that all sequences below it share; its length is a multiple of the page size.

    Attributes:
        tree: that holds it; None when it was removed.
        key: the ids, four bytes each, so that comparing is one memcmp.
        parent: the node above; None of a root and of a removed node.
        children: by the bytes of their first page.
        end: tokens from the root to the end of this node. Splitting keeps it: the new node is the upper part.
        used: number of the last use that ended here; uses of what is below count too once that is removed.
        locks: how many running samples hold this node and with it all above.
        is_queued: whether it stands in the order of eviction.
        namespace: of a root, what it is the root of.
    """

    __slots__ = ("children", "end", "is_queued", "key", "locks", "namespace", "parent", "tree", "used")

    def __init__(
        self, tree: PrefixTree, key: bytes, parent: Node | None, end: int, used: int = 0, namespace: str | None = None
    ) -> None:
        self.tree: PrefixTree | None = tree
        self.key = key
        self.parent = parent
        self.children = _NO_CHILDREN
        self.end = end
        self.used = used
        self.locks = 0
        self.is_queued = False
        self.namespace = namespace

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()  # a prefix that is pickled or deep-copied must not take the tree along

    def __repr__(self) -> str:
        return f"Node({len(self.key) // ID_BYTES} tokens to {self.end}, {len(self.children)} children)"


class PrefixTree:
    """Token sequences in pages. A namespace is a tree of its own, which goes when it is empty.

    Nodes are cut where SGLang cuts its own (``mem_cache/radix_cache.py``), because a node is what it evicts.

    A search begins at the mark of the prefix or of its nearest ancestor that has one in this tree (``Prefix.held_at``).
    Any node on the way to a prefix's end can be its mark; whoever uses the tree sets them, by :func:`mark`.

    Attributes:
        tokens: tokens held.
        nodes: nodes held.
        tick: number of the last use; the only clock there is.
    """

    def __init__(self, page_size: int) -> None:
        """Make an empty tree of whole pages of ``page_size`` tokens."""
        self.tokens = 0
        self.nodes = 0
        self.tick = 0
        self._page = page_size
        self._page_bytes = page_size * ID_BYTES
        self._roots: dict[str | None, Node] = {}

    def reach(self, prefix: Prefix, most: int = _NO_BOUND) -> tuple[Node, int]:
        """How far ``prefix`` is held. Nothing is split or used by it.

        Args:
            prefix: the sequence.
            most: tokens, in whole pages, beyond which nobody asks.

        Returns:
            The node in which the held part ends, or one that reaches beyond ``most``, and the held part's length.
        """
        node = prefix.held_at
        if node is None or node.tree is not self or node.end < most:
            node, length = self._walk(*self._nearest(prefix))
            return node, min(length, most)
        return node, most

    def match(self, prefix: Prefix, most: int) -> Node:
        """Use the held part of ``prefix``, up to ``most`` tokens.

        Returns:
            The node that ends where the match does, split for it where need be.
        """
        return self.use(*self.reach(prefix, most))

    def use(self, node: Node, length: int) -> Node:
        """Use what is held down to ``length``.

        Args:
            node: where the path ends, behind ``length`` or there.
            length: in whole pages.

        Returns:
            The node that ends at ``length``, split for it where need be.
        """
        while node.end > length and (parent := node.parent) is not None and parent.end >= length:
            node = parent
        self.tick += 1
        node.used = self.tick  # SGLang touches a node before it splits it, so both parts are used
        return self._split(node, length) if length < node.end else node

    def insert(self, prefix: Prefix, tail: Sequence[int] = ()) -> Node:
        """Hold ``prefix`` and the ids of ``tail`` after it, down to whole pages.

        Returns:
            The node that ends there.
        """
        top = prefix.held_at
        if top is not None and top.tree is self and top.end == len(prefix):
            if not tail:
                self.tick += 1
                top.used = self.tick
                return top
            rest = pack(f"{len(tail)}i", *tail)
        else:
            top, rest = self._nearest(prefix)
            if tail:
                rest += pack(f"{len(tail)}i", *tail)
        page = self._page_bytes
        if len(rest) % page:
            rest = rest[: len(rest) // page * page]
        if rest[:page] in top.children:
            node, length = self._walk(top, rest)
            node = self.use(node, length)
            rest = rest[(length - top.end) * ID_BYTES :]
        else:
            node = top
            self.tick += 1
            node.used = self.tick
        return self._grow(node, rest) if rest else node

    def part_after(self, node: Node, length: int) -> Node:
        """The node on the path to ``node`` that begins ``length`` tokens from the root, split for it where need be.

        Args:
            node: where the path ends, behind ``length``.
            length: in whole pages.
        """
        while node.parent is not None and node.parent.end > length:
            node = node.parent
        if node.parent is not None and node.parent.end < length:
            self._split(node, length)
        return node

    def remove(self, leaf: Node) -> Node:
        """Drop a leaf.

        Returns:
            Its parent, which counts as used when the leaf was.
        """
        parent = leaf.parent
        assert parent is not None  # noqa: S101 - roots and removed nodes are never offered for removal
        del parent.children[leaf.key[: self._page_bytes]]
        leaf.parent = leaf.tree = None
        self.tokens -= len(leaf.key) // ID_BYTES
        self.nodes -= 1
        parent.used = max(parent.used, leaf.used)
        if parent.parent is None and not parent.children:
            del self._roots[parent.namespace]
        return parent

    def _nearest(self, prefix: Prefix) -> tuple[Node, bytes]:
        """The node that is known to lie on the way to the end of ``prefix``, and the ids that follow it."""
        steps: list[tuple[int, ...]] = []
        at: Prefix | None = prefix
        node: Node | None = None
        while at is not None:
            node = at.held_at
            if node is not None and node.tree is self:
                break
            steps.append(at.step_token_ids)
            at = at.parent
        if at is None or node is None:
            namespace = prefix.origin.namespace
            node = self._roots.get(namespace) or Node(self, b"", None, 0, namespace=namespace)
        start = 0 if at is None else len(at)
        while at is not None and start > node.end:  # a mark may lie before the end of its prefix
            steps.append(at.step_token_ids)
            start -= len(at.step_token_ids)
            at = at.parent
        if start < node.end:
            steps[-1] = steps[-1][node.end - start :]
        if len(steps) == 1:
            return node, pack(f"{len(steps[0])}i", *steps[0])
        return node, b"".join([pack(f"{len(step)}i", *step) for step in reversed(steps)])

    def _walk(self, node: Node, rest: bytes) -> tuple[Node, int]:
        """The last node that ``rest`` enters below ``node``, and how many tokens from the root it goes."""
        at, page = 0, self._page_bytes
        while at < len(rest):
            child = node.children.get(rest[at : at + page])
            if child is None:
                break
            if not rest.startswith(child.key, at):
                shared = common_bytes(child.key, rest[at : at + len(child.key)], page)
                return child, node.end + shared // ID_BYTES
            at += len(child.key)
            node = child
        return node, node.end

    def _grow(self, node: Node, rest: bytes) -> Node:
        """A new leaf below ``node``, none of whose children begins with the first page of ``rest``."""
        if node.parent is None:
            self._roots[node.namespace] = node
        tokens = len(rest) // ID_BYTES
        self.tick += 1  # SGLang stamps a new leaf after the path to it
        leaf = Node(self, rest, node, node.end + tokens, self.tick)
        if node.children is _NO_CHILDREN:
            node.children = {}
        node.children[rest[: self._page_bytes]] = leaf
        self.tokens += tokens
        self.nodes += 1
        return leaf

    def _split(self, node: Node, length: int) -> Node:
        parent = node.parent
        assert parent is not None  # noqa: S101 - a root has no tokens to split
        cut = (length - parent.end) * ID_BYTES
        upper = Node(self, node.key[:cut], parent, length, node.used)
        parent.children[upper.key[: self._page_bytes]] = upper
        node.key = node.key[cut:]
        node.parent = upper
        upper.children = {node.key[: self._page_bytes]: node}
        self.nodes += 1
        return upper

    def __repr__(self) -> str:
        return f"PrefixTree({self.tokens} tokens in {self.nodes} nodes)"


def mark(prefix: Prefix, node: Node) -> None:
    """Remember where a prefix is held, so that the next search begins there.

    Args:
        prefix: which.
        node: on the way to its end. A root is not worth a mark, and one that is empty may have been replaced.
    """
    if node.parent is not None:
        prefix.held_at = node
