"""What one search tree has cost, and which of its paths are in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._packed import packed
from ..ledger import LedgerRow
from .ledger_level import Level
from .ledger_paths import Paths
from .ledger_published import PublishedKV

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ..prefix import Prefix

    Fingerprint = tuple[str | None, int, int]

__all__ = ["TreeAccount"]


class TreeAccount:
    """Counts of one tree, and its paths token by token.

    A tree without a scope shares its :class:`Paths` with others, and makes nothing before it is needed: most get a
    single call, and thousands may come at once.

    Attributes:
        name: how reports call it.
        live: tokens on its paths in use.
        published: ETS's own figure of them.
        is_open: False when it has ended; calls that still come are counted, their paths are not held.
        paths: where its paths are held.
        tokens: on its paths in use.
    """

    __slots__ = (
        "_pruned",
        "_root",
        "_roots",
        "_top",
        "asked",
        "expands",
        "generated",
        "generated_after_prune",
        "is_open",
        "least",
        "live",
        "name",
        "paths",
        "predicted",
        "prefills",
        "published",
        "retractions",
        "reused",
        "samples",
        "tokens",
        "unanswered",
    )

    def __init__(self, name: str, shared: Paths | None = None) -> None:
        """Make it of a tree of which nothing was asked yet.

        Args:
            name: how reports call it.
            shared: what holds its paths, when it has a single root and no scope.
        """
        self.name = name
        self.is_open = True
        self.live = Level()
        self.published = PublishedKV()
        self.tokens = 0
        self.expands = self.samples = self.prefills = self.unanswered = self.retractions = 0
        self.asked = self.predicted = self.reused = self.least = self.generated = self.generated_after_prune = 0
        self.paths = Paths() if shared is None else shared
        self._top = 0 if shared is None else shared.root()  # 0: one for each namespace
        self._pruned: set[Fingerprint] | None = None
        # What was given at the beginning of a path and shared nothing here when it came: its node among the roots of
        # all trees. A tree without a scope has one.
        self._root = 0
        self._roots: dict[Fingerprint, int] | None = None

    @property
    def has_scope(self) -> bool:
        """Whether calls may still come when it has ended."""
        return not self._top

    def is_new(self, prefix: Prefix) -> bool:
        """Whether no reply came of a prompt whose path is in use."""
        node = self._known(prefix)
        return not (node and self.paths.was_sent[node])

    def computed(self, prefix: Prefix) -> int:
        """Tokens of a prompt that this tree has computed or generated."""
        return self.paths.computed(self._begin(prefix), prefix)

    def sent(self, prefix: Prefix) -> int:
        """Where the paths after a prompt of which a reply came are held.

        Returns:
            0 when the prompt, or what it begins with, was pruned, or the tree has ended.
        """
        if not self.is_open:
            return 0
        node = self._node_of(prefix)
        if node:
            self.paths.was_sent[node] = 1
        return node

    def grow(self, node: int, output_ids: Sequence[int]) -> bool:
        """A sample has generated tokens after a prompt.

        Returns:
            Whether no path in use is the same.
        """
        return self.paths.ends[self._add(node, packed(output_ids))] == 1

    def hold_root(self, prefix: Prefix, node: int) -> None:
        """A root that shared nothing here has this node among the roots of all trees."""
        if self._top:
            self._root = node
            return
        if self._roots is None:
            self._roots = {}
        self._roots[prefix.fingerprint] = node

    def take_root(self, prefix: Prefix) -> int:
        """That node, which from now on is held no more; 0 without one."""
        if self._top:
            node, self._root = (self._root, 0) if prefix.parent is None else (0, self._root)
            return node
        return self._roots.pop(prefix.fingerprint, 0) if self._roots is not None else 0

    @property
    def roots(self) -> Collection[int]:
        """Nodes of this tree's roots among those of all trees."""
        if self._top:
            return (self._root,) if self._root else ()
        return self._roots.values() if self._roots is not None else ()

    def prune(self, prefix: Prefix) -> bool:
        """A path is not in use any more, nor anything after it.

        Returns:
            Whether it is gone: not when another sample, or a prompt, came out the same and was not pruned.
        """
        node = self._node_of(prefix) if self.is_open else 0
        if not node:
            return True
        paths, above = self.paths, prefix.parent
        if above is not None and (held := paths.seek(self._begin(prefix), above.path_bytes)):
            paths.forget(held, node)
        before = paths.tokens
        paths.prune(node)
        self.tokens += paths.tokens - before
        if paths.ends[node]:  # also when it has been dropped
            return False
        if self._pruned is None:
            self._pruned = set()
        self._pruned.add(prefix.fingerprint)
        return True

    def is_pruned(self, prefix: Prefix) -> bool:
        """Whether a path, or what it begins with, was pruned and has not been generated again since."""
        if not self._pruned:
            return False
        above = b""
        for step in prefix.path:
            if step.fingerprint in self._pruned:
                node = self.paths.seek(self._begin(prefix), above)
                if not node or not self.paths.seek(node, step.step_bytes):
                    return True
            above += step.step_bytes
        return False

    def end(self, at: float) -> None:
        """No path of it is in use any more."""
        self.is_open = False
        self.live.end(at)
        self.published.clear()
        if self._top:
            self.paths.drop_all(self._top)
        else:
            self.paths = Paths()
        self.tokens = self._root = 0
        self._roots = None
        self._pruned = None

    def row(self, at: float) -> LedgerRow:
        """Its totals at that time."""
        area, seconds = self.live.area(at), self.live.seconds(at)
        return LedgerRow(
            name=self.name,
            expands=self.expands,
            samples=self.samples,
            prefills=self.prefills,
            unanswered=self.unanswered,
            asked=self.asked,
            predicted=self.predicted,
            reused=self.reused,
            least=self.least,
            generated=self.generated,
            generated_after_prune=self.generated_after_prune,
            published_kv=self.published.tokens,
            retractions=self.retractions,
            live=self.live.value,
            live_peak=self.live.peak,
            live_mean=area / seconds if seconds > 0 else float(self.live.value),
            live_token_seconds=area,
            seconds=seconds,
        )

    def _begin(self, prefix: Prefix) -> int:
        return self._top or self.paths.top(prefix.origin.namespace)

    def _add(self, node: int, rest: bytes) -> int:
        before = self.paths.tokens
        leaf = self.paths.add(node, rest)
        self.tokens += self.paths.tokens - before
        return leaf

    def _known(self, prefix: Prefix) -> int:
        """Where a prompt ends that was entered before and is in use; else 0."""
        paths = self.paths
        node = paths.marked(prefix.entered_in, prefix.entered_at)
        return node if node and paths.ends[node] and paths.end[node] == len(prefix) else 0

    def _node_of(self, prefix: Prefix) -> int:
        """Where a prompt ends; what was not known of it is held from now on, unless it was pruned."""
        steps: list[Prefix] = []
        at: Prefix | None = prefix
        node = 0
        while at is not None and not (node := self._known(at)):
            steps.append(at)
            at = at.parent
        node = node or self._begin(prefix)
        for step in reversed(steps):
            rest = step.step_bytes
            found = self.paths.seek(node, rest)
            if self._pruned:
                if not found and step.fingerprint in self._pruned:
                    return 0
                self._pruned.discard(step.fingerprint)
            node = found or self._add(node, rest)
            step.entered_in, step.entered_at = self.paths.mark(node)
        return node

    def __repr__(self) -> str:
        return f"TreeAccount({self.name!r}, {self.samples} samples, {self.tokens} live tokens)"
