"""What one search tree has cost, and which of its paths are in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..ledger import LedgerRow
from .id_runs import packed
from .ledger_level import Level
from .ledger_paths import Paths
from .ledger_published import PublishedKV

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..prefix import Prefix
    from .ledger_paths import PathNode

    Fingerprint = tuple[str | None, int, int]

__all__ = ["TreeAccount"]


class TreeAccount:
    """Counts of one tree, and its paths token by token.

    Attributes:
        name: how reports call it.
        live: tokens on its paths in use.
        published: ETS's own figure of them.
        is_open: False when it has ended; calls that still come are counted, their paths are not held.
        roots: what was given at the beginning of a path and shared nothing here when it came, with its node among
            the roots of all trees.
    """

    __slots__ = (
        "_given",
        "_nodes",
        "_paths",
        "_pruned",
        "asked",
        "expands",
        "generated",
        "generated_after_prune",
        "is_open",
        "least",
        "live",
        "name",
        "predicted",
        "prefills",
        "published",
        "retractions",
        "reused",
        "roots",
        "samples",
        "unanswered",
    )

    def __init__(self, name: str) -> None:
        """Make it of a tree of which nothing was asked yet."""
        self.name = name
        self.is_open = True
        self.live = Level()
        self.published = PublishedKV()
        self.roots: dict[Fingerprint, tuple[int, PathNode]] = {}
        self.expands = self.samples = self.prefills = self.unanswered = self.retractions = 0
        self.asked = self.predicted = self.reused = self.least = self.generated = self.generated_after_prune = 0
        self._paths = Paths()
        self._nodes: dict[Fingerprint, PathNode] = {}  # where prompts end
        self._pruned: set[Fingerprint] = set()
        self._given: set[Fingerprint] = set()  # prompts that were sent, of those that no sample generated

    @property
    def tokens(self) -> int:
        """On its paths in use."""
        return self._paths.tokens

    def is_new(self, prefix: Prefix) -> bool:
        """Whether a prompt that was given is sent for the first time here; only the first call says so."""
        before = len(self._given)
        self._given.add(prefix.fingerprint)
        return len(self._given) > before

    def computed(self, prefix: Prefix) -> int:
        """Tokens of a prompt that this tree has computed or generated."""
        return self._paths.computed(prefix)

    def sent(self, prefix: Prefix) -> PathNode | None:
        """Where the paths after a prompt of which a reply came are held.

        Returns:
            None when the prompt, or what it begins with, was pruned, or the tree has ended.
        """
        if not self.is_open:
            return None
        node = self._node_of(prefix)
        if node is not None:
            node.was_sent = True
        return node

    def grow(self, node: PathNode, output_ids: Sequence[int]) -> bool:
        """A sample has generated tokens after a prompt.

        Returns:
            Whether no path in use is the same.
        """
        return self._paths.add(node, packed(output_ids)).ends == 1

    def prune(self, prefix: Prefix) -> bool:
        """A path is not in use any more, nor anything after it.

        Returns:
            Whether it is gone: not when another sample, or a prompt, came out the same and was not pruned.
        """
        node = self._node_of(prefix) if self.is_open else None
        if node is None:
            return True
        self._paths.prune(node)
        above = self._nodes.get(prefix.parent.fingerprint) if prefix.parent is not None else None
        if above is not None and above.samples is not None and node in above.samples:
            above.samples.remove(node)  # what ended here was given up; giving up its parent must not do so again
        if node.ends:
            return False
        self._pruned.add(prefix.fingerprint)
        return True

    def is_pruned(self, prefix: Prefix) -> bool:
        """Whether a path, or what it begins with, was pruned and has not been generated again since."""
        if not self._pruned:
            return False
        above: Prefix | None = None
        for step in prefix.path:
            if step.fingerprint in self._pruned:
                node = self._nodes.get(above.fingerprint) if above is not None else None
                if node is None or not node.ends or self._paths.find(node, step.step_bytes) is None:
                    return True
            above = step
        return False

    def end(self, at: float) -> None:
        """No path of it is in use any more."""
        self.is_open = False
        self.live.end(at)
        self.published.clear()
        self._paths = Paths()
        for held in (self._nodes, self._pruned, self._given, self.roots):
            held.clear()

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

    def _node_of(self, prefix: Prefix) -> PathNode | None:
        """Where a prompt ends; what was not known of it is held from now on, unless it was pruned."""
        steps: list[Prefix] = []
        at: Prefix | None = prefix
        node: PathNode | None = None
        while at is not None:
            node = self._nodes.get(at.fingerprint)
            if node is not None and node.ends:
                break
            steps.append(at)
            at = at.parent
        if at is None or node is None:
            node = self._paths.root(prefix.origin.namespace)
        for step in reversed(steps):
            found = self._paths.find(node, step.step_bytes)
            if found is None:
                if step.fingerprint in self._pruned:
                    return None
                found = self._paths.add(node, step.step_bytes)
            self._pruned.discard(step.fingerprint)
            self._nodes[step.fingerprint] = node = found
        return node

    def __repr__(self) -> str:
        return f"TreeAccount({self.name!r}, {self.samples} samples, {self.tokens} live tokens)"
