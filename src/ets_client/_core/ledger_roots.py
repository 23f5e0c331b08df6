"""The books of trees that have no scope: one for each root."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .id_runs import ID_BYTES
from .ledger_paths import Paths
from .ledger_rows import ROOT, TOP, WIDTH, RowTable
from .ledger_tree import TreeAccount

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ..prefix import Prefix
    from .ledger_tree import Fingerprint

__all__ = ["RootAccount", "RootTrees"]

_NO_ID = b"\xff" * ID_BYTES


class RootTrees:
    """Those that are open, and the numbers of those that ended last.

    Most get a single call, and thousands come at once; so a tree is a row of :class:`RowTable`, and a
    :class:`RootAccount` lives for a few calls only. Rows are made when the first tree comes, all of them.

    Attributes:
        rows: of all.
        paths: of all that are open.
        pruned: of the few of which something was pruned, what.
    """

    def __init__(self, open_at_most: int, ended_at_most: int) -> None:
        """Begin without any.

        Args:
            open_at_most: trees that are open.
            ended_at_most: those that have ended and whose rows are not given back.
        """
        self.rows = RowTable(0)
        self.paths = Paths()
        self.pruned: dict[int, set[Fingerprint]] = {}
        self._open_at_most = open_at_most
        self._size = open_at_most + ended_at_most
        self._free: list[int] = []
        self._open: dict[bytes, int] = {}  # the one that was used least lately is the first

    def find(self, root: Prefix) -> RootAccount | None:
        """The open tree of a root."""
        number = self._open.get(_key(root))
        return None if number is None else RootAccount(self, number)

    def use(self, root: Prefix) -> int | None:
        """The number of the same, which is used now."""
        key = _key(root)
        number = self._open.pop(key, None)
        if number is not None:
            self._open[key] = number
        return number

    def open(self, root: Prefix) -> int:
        """A tree begins. There must be room for it.

        Returns:
            Its number.
        """
        if not self.rows.counts:
            self.rows = RowTable(self._size)
            self._free.extend(range(self._size))
        number = self._open[_key(root)] = self._free.pop()
        self.rows.clear(number, root.text)
        self.rows.counts[number * WIDTH + TOP] = self.paths.root()
        return number

    def take_oldest(self) -> RootAccount | None:
        """The tree that has to end before another can begin, which is none of the open ones from now on."""
        if len(self._open) < self._open_at_most:
            return None
        return RootAccount(self, self._open.pop(next(iter(self._open))))

    def give_back(self, number: int) -> None:
        """The row of a tree that has ended is asked for no more."""
        self._free.append(number)

    def __iter__(self) -> Iterator[RootAccount]:
        """All that are open, the one that was used least lately first."""
        return (RootAccount(self, number) for number in self._open.values())

    def __len__(self) -> int:
        return len(self._open)

    def __repr__(self) -> str:
        return f"RootTrees({len(self)} open)"


class RootAccount(TreeAccount):
    """A look at one of them, and a change or two. Nothing is kept in it.

    Attributes:
        number: of its row.
    """

    __slots__ = ("_trees",)

    def __init__(self, trees: RootTrees, number: int) -> None:
        """Look at a tree.

        Args:
            trees: among which it is.
            number: which it is.
        """
        rows = trees.rows
        self._trees, self._rows, self._number = trees, rows, number
        self.counts, self.first, self.paths, self.is_open = rows.counts, number * WIDTH, trees.paths, True
        self._pruned = trees.pruned.get(number) if trees.pruned else None

    @property
    def number(self) -> int:
        """Of its row."""
        return self._number

    @property
    def name(self) -> str:
        """The end of its root's text."""
        return self._trees.rows.name(self._number)

    @property
    def roots(self) -> Collection[int]:
        """There is one at most."""
        root = self.counts[self.first + ROOT]
        return (root,) if root else ()

    def hold_root(self, prefix: Prefix, node: int) -> None:  # noqa: ARG002 - it is the only one
        """This is its root's node."""
        self.counts[self.first + ROOT] = node

    def take_root(self, prefix: Prefix) -> int:
        """It has none from now on."""
        if prefix.parent is not None:
            return 0
        node, self.counts[self.first + ROOT] = self.counts[self.first + ROOT], 0
        return node

    def begin(self, prefix: Prefix) -> int:  # noqa: ARG002 - all are of one namespace
        """A node of its own: what trees of one beginning share is not shared here."""
        return self.counts[self.first + TOP]

    def end(self, at: float) -> None:
        """Its paths go, its numbers stay until they are given back."""
        super().end(at)
        self.paths.drop_all(self.counts[self.first + TOP])
        self.counts[self.first + ROOT] = 0
        self._trees.pruned.pop(self._number, None)

    def _keep_pruned(self) -> set[Fingerprint]:
        return self._trees.pruned.setdefault(self._number, set())


def _key(root: Prefix) -> bytes:
    """Equal for equal roots. Of most it is what the paths hold anyway; a tuple, or a hash, would be one more object."""
    space = root.origin.namespace
    return root.step_bytes if space is None else root.step_bytes + _NO_ID + space.encode("utf-8", "surrogatepass")
