"""ETS's own KV figure of a tree, told sample by sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .ledger_rows import LEVELS, OPEN_LEVEL, PUBLISHED

if TYPE_CHECKING:
    from ..prefix import Prefix
    from .ledger import Maker
    from .ledger_tree import TreeAccount

__all__ = ["PublishedKV"]

_ROOT = 2  # what ETS takes for the length of a prompt: `len(tokenizer(text))` is a number of fields


class PublishedKV:
    """Sums, level by level, the steps that could be gone on with and all steps above them, as ETS's ``get_kv_size``.

    A step counts once for each level that has candidates below it. So it is enough to know the deepest of these levels
    (:attr:`Paths.counted`): what is above a step has been counted there when the step has.

    ETS takes the figure of a level when it decides on it, so the sum (PUBLISHED of a tree's row) is of the levels from
    which something was expanded: LEVELS of them. Candidates of the next one wait in OPEN_LEVEL; beyond it there are
    none.
    """

    __slots__ = ("_depth", "_maker", "_prompt")

    def __init__(self, maker: Maker) -> None:
        """Count for all trees of one client.

        Args:
            maker: the mark on steps that were counted as :meth:`candidates` when they were sampled.
        """
        self._maker = maker
        self._prompt: Prefix | None = None  # of most requests there are several replies
        self._depth = 0

    def sent(self, tree: TreeAccount, prompt: Prefix, node: int) -> None:
        """A prompt of which a reply came: a candidate of its level.

        Args:
            tree: its tree.
            prompt: it.
            node: where it ends.
        """
        if prompt is not self._prompt:
            self._prompt, self._depth = prompt, prompt.depth if prompt.parent is not None else 0
        counts, first = tree.counts, tree.first
        if self._depth >= counts[first + LEVELS]:
            counts[first + LEVELS] = self._depth + 1
            counts[first + PUBLISHED] += counts[first + OPEN_LEVEL]
            counts[first + OPEN_LEVEL] = 0
        self._count(tree, prompt, node, self._depth, 0)

    def candidates(self, tree: TreeAccount, prompt: Prefix, node: int, tokens: int) -> None:
        """Steps of so many tokens together were sampled after this prompt, the last one, each to be gone on with."""
        self._count(tree, prompt, node, self._depth + 1, tokens)

    def clear(self) -> None:
        """Keep no prompt."""
        self._prompt = None

    def _count(self, tree: TreeAccount, prompt: Prefix, node: int, level: int, tokens: int) -> None:
        """Add tokens to a level, and whatever is above them and was not counted there."""
        paths = tree.paths
        counted, end, parent, maker = paths.counted, paths.end, paths.parent, self._maker
        step: Prefix | None = prompt
        depth = self._depth
        while step is not None:
            length = len(step)
            while end[node] > length:  # the paths may be split between the steps
                node = parent[node]
            known = counted[node] - 1
            if known < 0 and step.made_by is maker:
                known = depth
            if known >= level:
                break
            counted[node] = level + 1
            above = step.parent
            tokens += len(step.step_token_ids) if above is not None else _ROOT
            step, depth = above, depth - 1
        if tokens:
            counts, first = tree.counts, tree.first
            counts[first + (PUBLISHED if level < counts[first + LEVELS] else OPEN_LEVEL)] += tokens
