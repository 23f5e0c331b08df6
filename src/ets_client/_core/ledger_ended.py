"""The trees of a client that ended last."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from .ledger_roots import RootAccount
from .ledger_rows import SUMMED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .ledger_roots import RootTrees
    from .ledger_tree import TreeAccount

__all__ = ["EndedTrees"]


class EndedTrees:
    """Those that ended last, and the sum of all before.

    Attributes:
        sums: of the trees that are not shown any more.
    """

    def __init__(self, shown: int, roots: RootTrees) -> None:
        """Begin without any.

        Args:
            shown: trees that are shown by themselves.
            roots: among which those are that have no scope; their rows are given back when they are not shown.
        """
        self.sums = [0] * len(SUMMED)
        self._shown = shown
        self._roots = roots
        self._trees: deque[TreeAccount | int] = deque()  # of one without a scope, its number

    def add(self, tree: TreeAccount) -> None:
        """A tree has ended."""
        self._trees.append(tree.number if isinstance(tree, RootAccount) else tree)  # calls of a scope may still come
        if len(self._trees) > self._shown:
            oldest = self._trees.popleft()
            self._account(oldest).add_to(self.sums)
            if isinstance(oldest, int):
                self._roots.give_back(oldest)

    def __iter__(self) -> Iterator[TreeAccount]:
        """All that are shown, in the order in which they ended."""
        return map(self._account, self._trees)

    def _account(self, tree: TreeAccount | int) -> TreeAccount:
        return RootAccount(self._roots, tree) if isinstance(tree, int) else tree

    def __repr__(self) -> str:
        return f"EndedTrees({len(self._trees)} shown)"
