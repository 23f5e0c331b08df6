"""The books of a tree with a scope."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .ledger_paths import Paths
from .ledger_rows import Rows
from .ledger_tree import TreeAccount

if TYPE_CHECKING:
    from collections.abc import Collection

    from ..prefix import Prefix
    from .ledger_tree import Fingerprint

__all__ = ["ScopeAccount"]


class ScopeAccount(TreeAccount):
    """A tree of any roots, for as long as its scope. Calls may still come when it has ended."""

    __slots__ = ("_name", "_roots")

    def __init__(self, name: str) -> None:
        """Make it of a tree of which nothing was asked yet.

        Args:
            name: how reports call it.
        """
        super().__init__(Rows(), 0, Paths(), None)
        self._name = name
        self._roots: dict[Fingerprint, int] = {}

    @property
    def name(self) -> str:
        """As it was given."""
        return self._name

    @property
    def roots(self) -> Collection[int]:
        """Nodes of its roots among those of all trees."""
        return self._roots.values()

    def hold_root(self, prefix: Prefix, node: int) -> None:
        """One more of them."""
        self._roots[prefix.fingerprint] = node

    def take_root(self, prefix: Prefix) -> int:
        """One of them less."""
        return self._roots.pop(prefix.fingerprint, 0)

    def begin(self, prefix: Prefix) -> int:
        """Each namespace has a node of its own."""
        return self.paths.top(prefix.origin.namespace)

    def end(self, at: float) -> None:
        """Its paths go, its numbers stay."""
        super().end(at)
        self.paths = Paths()
        self._roots = {}
