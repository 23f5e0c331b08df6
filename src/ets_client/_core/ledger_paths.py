"""Paths of token ids that share their beginnings: how many tokens they are, each counted once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .id_runs import ID_BYTES, common_bytes

if TYPE_CHECKING:
    from ..prefix import Prefix

__all__ = ["PathNode", "Paths"]

_NO_CHILDREN: dict[bytes, PathNode] = {}  # of all nodes that have had none, and those are most


class PathNode:
    """A run of tokens that all paths below it share.

    Attributes:
        key: the ids, four bytes each, so that comparing is one memcmp.
        parent: the node above; None of a root.
        children: by the bytes of their first token.
        ends: how many paths in use end here; none of what was dropped.
        samples: where the paths end that were sampled after this one, or made of it by hand; None without any.
        was_sent: whether a prompt ended here, so that its last token was computed too.
    """

    __slots__ = ("children", "ends", "key", "parent", "samples", "was_sent")

    def __init__(self, key: bytes, parent: PathNode | None) -> None:
        self.key = key
        self.parent = parent
        self.children = _NO_CHILDREN
        self.ends = 0
        self.samples: list[PathNode] | None = None
        self.was_sent = False


class Paths:
    """A trie. Unlike :class:`PrefixTree` it knows neither pages nor ages: nothing goes that was not dropped.

    Attributes:
        tokens: of all paths, those that several share counted once.
    """

    def __init__(self) -> None:
        self.tokens = 0
        self._roots: dict[str | None, PathNode] = {}

    def root(self, namespace: str | None) -> PathNode:
        """Where the paths of a namespace begin; different ones share nothing."""
        node = self._roots.get(namespace)
        if node is None:
            node = self._roots[namespace] = PathNode(b"", None)
        return node

    def put(self, node: PathNode, rest: bytes) -> PathNode:
        """Hold these ids after a node.

        Returns:
            The node that ends with them.
        """
        if rest[:ID_BYTES] in node.children:
            node, at = self._walk(node, rest)
            rest = rest[at:]
        if not rest:
            return node
        leaf = PathNode(rest, node)
        if node.children is _NO_CHILDREN:
            node.children = {}
        node.children[rest[:ID_BYTES]] = leaf
        self.tokens += len(rest) // ID_BYTES
        return leaf

    def add(self, node: PathNode, rest: bytes) -> PathNode:
        """A path that goes on from a node with these ids is in use.

        Returns:
            Where it ends.
        """
        leaf = self.put(node, rest)
        leaf.ends += 1
        if node.samples is None:
            node.samples = []
        node.samples.append(leaf)
        return leaf

    def prune(self, node: PathNode) -> None:
        """One path that ends at a node is given up; when it was the last, so is all that was sampled after it."""
        given_up = [node]
        for each in given_up:
            self.release(each)
            if not each.ends and each.samples is not None:
                given_up += each.samples
                each.samples = None

    def find(self, node: PathNode, rest: bytes) -> PathNode | None:
        """The node that ends with these ids after ``node``, if a path in use does."""
        while rest:
            child = node.children.get(rest[:ID_BYTES])
            if child is None or not rest.startswith(child.key):
                return None
            node, rest = child, rest[len(child.key) :]
        return node if node.ends else None

    def computed(self, prefix: Prefix) -> int:
        """Tokens from the beginning of ``prefix`` that were computed for the paths held.

        The last token that a sample generated is computed only when somebody continues after it.
        """
        node = self._roots.get(prefix.origin.namespace)
        if node is None:
            return 0
        rest, at = prefix.path_bytes, 0
        while at < len(rest):
            child = node.children.get(rest[at : at + ID_BYTES])
            if child is None:
                break
            shared = common_bytes(child.key, rest[at : at + len(child.key)], ID_BYTES)
            at += shared
            if shared < len(child.key):
                return at // ID_BYTES
            node = child
        is_computed = node.was_sent or bool(node.children) or not at
        return at // ID_BYTES - (not is_computed)

    def release(self, node: PathNode) -> None:
        """One path that ended at a node is not in use any more: what was held for it alone is dropped."""
        node.ends -= 1
        above = node.parent
        while above is not None and not node.ends and not node.children:
            del above.children[node.key[:ID_BYTES]]
            self.tokens -= len(node.key) // ID_BYTES
            node, above = above, above.parent

    def _walk(self, node: PathNode, rest: bytes) -> tuple[PathNode, int]:
        """The node to which ``rest`` is held below ``node``, split for it where need be, and the bytes to there."""
        at = 0
        while at < len(rest):
            child = node.children.get(rest[at : at + ID_BYTES])
            if child is None:
                break
            if rest.startswith(child.key, at):
                node, at = child, at + len(child.key)
                continue
            shared = common_bytes(child.key, rest[at : at + len(child.key)], ID_BYTES)
            return self._split(child, shared), at + shared
        return node, at

    def _split(self, node: PathNode, cut: int) -> PathNode:
        parent = node.parent
        assert parent is not None  # noqa: S101 - a root has no tokens to split
        upper = PathNode(node.key[:cut], parent)
        parent.children[upper.key[:ID_BYTES]] = upper
        node.key, node.parent = node.key[cut:], upper
        upper.children = {node.key[:ID_BYTES]: node}
        return upper

    def __repr__(self) -> str:
        return f"Paths({self.tokens} tokens)"
