"""Which cold prompts the server is computing now, so that nobody computes the same part beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from .shadow_tree import PrefixTree

if TYPE_CHECKING:
    from ..prefix import Prefix
    from .shadow_tree import Node

__all__ = ["Flights"]

_Owner = TypeVar("_Owner")


class Flights(Generic[_Owner]):
    """Prompts between being sent and being prefilled, each with its owner."""

    def __init__(self, page_size: int) -> None:
        """Compare in whole pages of ``page_size`` tokens."""
        self._tree = PrefixTree(page_size)
        self._owners: dict[Node, list[_Owner]] = {}

    def add(self, prefix: Prefix, owner: _Owner) -> Node | None:
        """A prompt is being computed.

        Returns:
            What :meth:`remove` needs; None for a prompt shorter than a page, which nobody can share.
        """
        node = self._tree.insert(prefix)
        if node.parent is None:
            return None
        self._owners.setdefault(node, []).append(owner)
        return node

    def remove(self, node: Node, owner: _Owner) -> None:
        """It is computed, or nobody knows."""
        owners = self._owners[node]
        owners.remove(owner)
        if owners:
            return
        del self._owners[node]
        while node.parent is not None and not node.children and node not in self._owners:
            node = self._tree.remove(node)

    def longest(self, prefix: Prefix) -> tuple[_Owner, int] | None:
        """Who computes the longest beginning of ``prefix``, the first of them, and its length in tokens."""
        node, length = self._tree.reach(prefix)
        if not length:
            return None
        while node not in self._owners:  # each leaf has an owner, and the first child is the oldest
            node = next(iter(node.children.values()))
        return self._owners[node][0], length

    def __bool__(self) -> bool:
        return bool(self._owners)

    def __len__(self) -> int:
        return sum(map(len, self._owners.values()))
