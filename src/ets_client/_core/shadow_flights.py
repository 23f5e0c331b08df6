"""Which cold prompts the server is computing now, so that nobody computes the same part beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from .shadow_tree import PrefixTree

if TYPE_CHECKING:
    from ..prefix import Prefix

__all__ = ["Flights"]

_Owner = TypeVar("_Owner")


class Flights(Generic[_Owner]):
    """Prompts between being sent and being prefilled, each with its owner."""

    def __init__(self, page_size: int) -> None:
        """Compare in whole pages of ``page_size`` tokens."""
        self._tree = PrefixTree(page_size)
        self._owners: dict[int, list[_Owner]] = {}

    def add(self, prefix: Prefix, owner: _Owner) -> int:
        """A prompt is being computed.

        Returns:
            What :meth:`remove` needs; 0 for a prompt shorter than a page, which nobody can share.
        """
        node = self._tree.insert(prefix)
        if not node:
            return 0
        self._owners.setdefault(node, []).append(owner)
        return node

    def remove(self, node: int, owner: _Owner) -> None:
        """It is computed, or nobody knows."""
        owners = self._owners[node]
        owners.remove(owner)
        if owners:
            return
        del self._owners[node]
        while node and not self._tree.child[node] and node not in self._owners:
            node = self._tree.drop(node)

    def longest(self, prefix: Prefix) -> tuple[_Owner, int] | None:
        """Who computes the longest beginning of ``prefix``, the first of them, and its length in tokens."""
        node, length = self._tree.reach(prefix)
        if not length:
            return None
        while node not in self._owners:  # each leaf has an owner, and the first child is the oldest
            node = self._tree.child[node]
        return self._owners[node][0], length

    def __bool__(self) -> bool:
        return bool(self._owners)

    def __len__(self) -> int:
        return sum(map(len, self._owners.values()))
