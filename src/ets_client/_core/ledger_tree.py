"""What one search tree has cost, and which of its paths are in use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from .._packed import packed
from .ledger_rows import (
    ASKED,
    GENERATED,
    LIVE,
    PREDICTED,
    PREFILLS,
    RETRACTIONS,
    REUSED,
    SAMPLES,
    WIDTH,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ..ledger import LedgerRow
    from ..prefix import Prefix
    from .ledger import Answer
    from .ledger_paths import Paths
    from .ledger_rows import Rows

    Fingerprint = tuple[str | None, int, int]

__all__ = ["TreeAccount"]


class TreeAccount(ABC):
    """Counts of one tree, and its paths token by token.

    Attributes:
        counts, first: its numbers, at the places that :mod:`.ledger_rows` names, from ``first`` on.
        paths: where its paths are held.
        is_open: False when it has ended; calls that come later are counted, their paths are not held.
    """

    __slots__ = ("_number", "_pruned", "_rows", "counts", "first", "is_open", "paths")

    def __init__(self, rows: Rows, number: int, paths: Paths, pruned: set[Fingerprint] | None) -> None:
        """Look at a row.

        Args:
            rows: where its numbers are.
            number: which they are.
            paths: where its paths are held.
            pruned: what was pruned of it, if anything was.
        """
        self._rows, self._number = rows, number
        self.counts, self.first = rows.counts, number * WIDTH
        self.paths = paths
        self.is_open = True
        self._pruned = pruned

    @property
    @abstractmethod
    def name(self) -> str:
        """How reports call it."""

    @property
    @abstractmethod
    def roots(self) -> Collection[int]:
        """Nodes of this tree's roots among those of all trees.

        There is one for what was given at the beginning of a path and shared nothing here when it came.
        """

    @abstractmethod
    def hold_root(self, prefix: Prefix, node: int) -> None:
        """A root that shared nothing here has this node among the roots of all trees."""

    @abstractmethod
    def take_root(self, prefix: Prefix) -> int:
        """That node, which from now on is held no more; 0 without one."""

    @abstractmethod
    def begin(self, prefix: Prefix) -> int:
        """The node below which a path is held."""

    @property
    def tokens(self) -> int:
        """On its paths in use."""
        return self.counts[self.first + LIVE]

    def count(self, answer: Answer) -> None:
        """What came back of samples, or of a prefill: all but what is held of it."""
        counts, first = self.counts, self.first
        counts[first + SAMPLES] += answer.samples
        counts[first + GENERATED] += answer.generated
        counts[first + PREDICTED] += answer.predicted
        counts[first + ASKED] += answer.asked
        counts[first + REUSED] += answer.reused
        if answer.prefills:
            counts[first + PREFILLS] += answer.prefills
        if answer.retractions:
            counts[first + RETRACTIONS] += answer.retractions

    def grown(self, tokens: int, at: float) -> None:
        """So many tokens more are on its paths in use."""
        self._rows.add_live(self._number, tokens, at)

    def known(self, prefix: Prefix) -> int:
        """Where a prompt ends that was entered before and is in use; else 0."""
        paths = self.paths
        node = paths.marked(prefix.entered_in, prefix.entered_at)
        return node if node and paths.ends[node] and paths.end[node] == len(prefix) else 0

    def computed(self, prefix: Prefix) -> int:
        """Tokens of a prompt that this tree has computed or generated."""
        return self.paths.computed(self.begin(prefix), prefix)

    def enter(self, prefix: Prefix) -> int:
        """Where a prompt ends that is not :meth:`known`; what was not known of it is held from now on.

        Returns:
            0 when it, or what it begins with, was pruned, or the tree has ended.
        """
        if not self.is_open:
            return 0
        steps, at, node = [prefix], prefix.parent, 0
        while at is not None and not (node := self.known(at)):
            steps.append(at)
            at = at.parent
        node = node or self.begin(prefix)
        for step in reversed(steps):
            rest = step.step_bytes
            found = self.paths.seek(node, rest)
            if self._pruned:
                if not found and step.fingerprint in self._pruned:
                    return 0
                self._pruned.discard(step.fingerprint)
            node = found or self.paths.add(node, rest)
            step.entered_in, step.entered_at = self.paths.mark(node)
        return node

    def grow(self, node: int, output_ids: Sequence[int]) -> bool:
        """A sample has generated tokens after a prompt.

        Returns:
            Whether no path in use is the same.
        """
        paths = self.paths
        return paths.ends[paths.add(node, packed(output_ids))] == 1

    def prune(self, prefix: Prefix) -> bool:
        """A path is not in use any more, nor anything after it.

        Returns:
            Whether it is gone: not when another sample, or a prompt, came out the same and was not pruned.
        """
        node = self.known(prefix) or self.enter(prefix)
        if not node:
            return True
        paths, above = self.paths, prefix.parent
        if above is not None and (held := paths.seek(self.begin(prefix), above.path_bytes)):
            paths.forget(held, node)
        paths.prune(node)
        if paths.ends[node]:  # also when it has been dropped
            return False
        if self._pruned is None:
            self._pruned = self._keep_pruned()
        self._pruned.add(prefix.fingerprint)
        return True

    def is_pruned(self, prefix: Prefix) -> bool:
        """Whether a path, or what it begins with, was pruned and has not been generated again since."""
        if not self._pruned:
            return False
        above = b""
        for step in prefix.path:
            if step.fingerprint in self._pruned:
                node = self.paths.seek(self.begin(prefix), above)
                if not node or not self.paths.seek(node, step.step_bytes):
                    return True
            above += step.step_bytes
        return False

    def end(self, at: float) -> None:
        """No path of it is in use any more."""
        self._rows.end(self._number, at)
        self.is_open = False
        self._pruned = None

    def row(self, at: float) -> LedgerRow:
        """Its totals at that time."""
        return self._rows.row(self._number, self.name, at)

    def add_to(self, sums: list[int]) -> None:
        """Add its sums to others."""
        self._rows.add_to(self._number, sums)

    def _keep_pruned(self) -> set[Fingerprint]:
        """Where it is noted from now on what was pruned."""
        return set()

    def __repr__(self) -> str:
        samples = self.counts[self.first + SAMPLES]
        return f"{type(self).__name__}({self.name!r}, {samples} samples, {self.tokens} live tokens)"
