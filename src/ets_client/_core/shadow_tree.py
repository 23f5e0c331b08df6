"""A radix tree over token ids in which a known prefix is found by its fingerprint, not by its tokens."""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from ..prefix import Prefix

__all__ = ["Node", "PrefixTree"]

_ID_BYTES = 4


class Node:
    """A run of tokens that all sequences below it share; its length is a multiple of the page size.

    A removed node has no parent, as a root has none.

    Attributes:
        key: the ids, four bytes each, so that comparing is one memcmp.
        parent: the node above.
        children: by the bytes of their first page.
        end: tokens from the root to the end of this node. Splitting keeps it: the new node is the upper part.
        used: number of the last use that ended here; uses of what is below count too once that is removed.
        locks: how many running samples hold this node and with it all above.
        is_queued: whether it stands in the order of eviction.
        name: of the prefix that is known to end here; of a root, its namespace.
    """

    __slots__ = ("children", "end", "is_queued", "key", "locks", "name", "parent", "used")

    def __init__(self, key: bytes, parent: Node | None, end: int, used: int = 0, name: Hashable = None) -> None:
        self.key = key
        self.parent = parent
        self.children: dict[bytes, Node] = {}
        self.end = end
        self.used = used
        self.locks = 0
        self.is_queued = False
        self.name = name

    def __repr__(self) -> str:
        return f"Node({len(self.key) // _ID_BYTES} tokens to {self.end}, {len(self.children)} children)"


class PrefixTree:
    """Token sequences in pages. A namespace is a tree of its own, which goes when it is empty.

    Nodes are cut where SGLang cuts its own (``mem_cache/radix_cache.py``), because a node is what it evicts.

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
        self._page_bytes = page_size * _ID_BYTES
        self._roots: dict[Hashable, Node] = {}
        self._names: dict[Hashable, Node] = {}

    def reach(self, prefix: Prefix, adapter: str | None = None) -> tuple[Node, int]:
        """The node in which the held part of ``prefix`` ends, and its length. Nothing is split or used by it."""
        return self._walk(*self._nearest(prefix, adapter))

    def match(self, prefix: Prefix, adapter: str | None, most: int) -> Node:
        """Use the held part of ``prefix``.

        Args:
            prefix: the sequence.
            adapter: the LoRA adapter that computes it.
            most: tokens that may match, in whole pages.

        Returns:
            The node that ends where the match does, split for it where need be.
        """
        node, length = self.reach(prefix, adapter)
        return self._end_at(node, min(length, most))

    def insert(self, prefix: Prefix, adapter: str | None = None, tail: Sequence[int] = ()) -> Node:
        """Hold ``prefix`` and the ids of ``tail`` after it, down to whole pages.

        Returns:
            The node that ends there.
        """
        top, rest = self._nearest(prefix, adapter)
        if tail:
            rest += pack(f"{len(tail)}i", *tail)
        rest = rest[: len(rest) // self._page_bytes * self._page_bytes]
        node, length = self._walk(top, rest)
        node = self._end_at(node, length)
        rest = rest[(length - top.end) * _ID_BYTES :]
        if rest:
            if node.parent is None:
                self._roots[node.name] = node
            tokens = len(rest) // _ID_BYTES
            self.tick += 1  # SGLang stamps a new leaf after the path to it
            leaf = Node(rest, node, node.end + tokens, self.tick)
            node.children[rest[: self._page_bytes]] = leaf
            self.tokens += tokens
            self.nodes += 1
            node = leaf
        if not tail and node.parent is not None:
            self._call(node, _name(prefix, adapter))
        return node

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
        leaf.parent = None
        if leaf.name is not None:
            del self._names[leaf.name]
        self.tokens -= len(leaf.key) // _ID_BYTES
        self.nodes -= 1
        parent.used = max(parent.used, leaf.used)
        if parent.parent is None and not parent.children:
            del self._roots[parent.name]
        return parent

    def _nearest(self, prefix: Prefix, adapter: str | None) -> tuple[Node, bytes]:
        """The node of the nearest ancestor that is known by name, and the ids that follow it."""
        steps: list[tuple[int, ...]] = []
        at: Prefix | None = prefix
        node: Node | None = None
        while at is not None:
            node = self._names.get(_name(at, adapter))
            if node is not None:
                break
            steps.append(at.step_token_ids)
            at = at.parent
        if node is None:
            namespace = (prefix.origin.namespace, adapter)
            node = self._roots.get(namespace) or Node(b"", None, 0, name=namespace)
        start = 0 if at is None else len(at)
        while at is not None and start > node.end:  # a node ends at a whole page, its prefix perhaps a little later
            steps.append(at.step_token_ids)
            start -= len(at.step_token_ids)
            at = at.parent
        if len(steps) == 1:
            rest = pack(f"{len(steps[0])}i", *steps[0])
        else:
            rest = b"".join([pack(f"{len(step)}i", *step) for step in reversed(steps)])
        return node, rest[(node.end - start) * _ID_BYTES :] if start < node.end else rest

    def _walk(self, node: Node, rest: bytes) -> tuple[Node, int]:
        """The last node that ``rest`` enters below ``node``, and how many tokens from the root it goes."""
        at, page = 0, self._page_bytes
        while at < len(rest):
            child = node.children.get(rest[at : at + page])
            if child is None:
                break
            if not rest.startswith(child.key, at):
                return child, node.end + self._common(child.key, rest[at : at + len(child.key)])
            at += len(child.key)
            node = child
        return node, node.end

    def _common(self, key: bytes, rest: bytes) -> int:
        """Tokens, in whole pages, in which two different keys begin alike; at least the page they were found by."""
        low, high = 1, -(-len(key) // self._page_bytes)
        while high - low > 1:
            middle = (low + high) // 2
            if rest.startswith(key[low * self._page_bytes : middle * self._page_bytes], low * self._page_bytes):
                low = middle
            else:
                high = middle
        return low * self._page

    def _end_at(self, node: Node, length: int) -> Node:
        """The node on the path to ``node`` that ends at ``length``, used now."""
        while node.parent is not None and node.parent.end >= length:
            node = node.parent
        self.tick += 1
        node.used = self.tick  # SGLang touches a node before it splits it, so both parts are used
        return self._split(node, length) if length < node.end else node

    def _split(self, node: Node, length: int) -> Node:
        parent = node.parent
        assert parent is not None  # noqa: S101 - a root has no tokens to split
        cut = (length - parent.end) * _ID_BYTES
        upper = Node(node.key[:cut], parent, length, node.used)
        parent.children[upper.key[: self._page_bytes]] = upper
        node.key = node.key[cut:]
        node.parent = upper
        upper.children[node.key[: self._page_bytes]] = node
        self.nodes += 1
        return upper

    def _call(self, node: Node, name: Hashable) -> None:
        if node.name is not None:  # with pages, several prefixes end in one node: the last one keeps its name
            del self._names[node.name]
        node.name = name
        self._names[name] = node

    def __repr__(self) -> str:
        return f"PrefixTree({self.tokens} tokens in {self.nodes} nodes)"


def _name(prefix: Prefix, adapter: str | None) -> Hashable:
    return prefix.fingerprint if adapter is None else (adapter, prefix.fingerprint)
