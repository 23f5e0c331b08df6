"""A scope for one search tree, for threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .sync_calls import SyncPolicyCalls

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from ._threads.loop_thread import LoopThread
    from .ledger import LedgerRow
    from .tree import Tree

__all__ = ["SyncTree"]


class SyncTree(SyncPolicyCalls):
    """:class:`Tree` for OS threads; :meth:`PolicyClient.tree` makes it.

    Leaving it ends every call that waits in it, in whichever thread, with a :class:`TreeClosedError`.
    """

    def __init__(self, loop_thread: LoopThread, tree: Tree) -> None:
        """Make a scope that is not entered yet.

        Args:
            loop_thread: where its calls run.
            tree: the scope there.
        """
        self._loop_thread = loop_thread
        self._calls = self._tree = tree

    @property
    def name(self) -> str:
        """How errors call it."""
        return self._tree.name

    @property
    def ledger(self) -> LedgerRow:
        """What its calls have cost the server until now, and what is still in use."""
        return self._tree.ledger

    def __enter__(self) -> Self:
        self._loop_thread.call(self._tree.__aenter__)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop_thread.call(self._tree.__aexit__, kind, error, traceback)

    def __repr__(self) -> str:
        return f"Sync{self._tree!r}"
