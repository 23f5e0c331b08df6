"""ETS's own KV figure of a tree, told sample by sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..prefix import Prefix
    from .ledger import Maker
    from .ledger_paths import Paths

__all__ = ["PublishedKV"]

_ROOT = 2  # what ETS takes for the length of a prompt: `len(tokenizer(text))` is a number of fields


class PublishedKV:
    """Sums, level by level, the steps that could be gone on with and all steps above them, as ETS's ``get_kv_size``.

    A step counts once for each level that has candidates below it. So it is enough to know the deepest of these levels
    (:attr:`Paths.counted`): what is above a step has been counted there when the step has.
    """

    __slots__ = ("_decided", "_depth", "_levels", "_prompt")

    def __init__(self) -> None:
        self._levels: list[int] = []
        self._decided = 0  # levels from which something was expanded
        self._prompt: Prefix | None = None
        self._depth = 0

    @property
    def tokens(self) -> int:
        """Of all levels from which something was expanded; ETS takes the figure of a level when it decides on it."""
        return sum(self._levels[: self._decided])

    def sent(self, prompt: Prefix, paths: Paths, node: int, maker: Maker) -> None:
        """A prompt of which a reply came: a candidate of its level.

        Args:
            prompt: it.
            paths: of the tree.
            node: where the prompt ends.
            maker: the mark on steps that were counted as :meth:`candidates` when they were sampled.
        """
        if prompt is self._prompt:
            return
        self._prompt, self._depth = prompt, prompt.depth
        self._decided = max(self._decided, self._depth + 1)
        self._count(prompt, paths, node, self._depth, maker)

    def candidates(self, tokens: int, paths: Paths, node: int, maker: Maker) -> None:
        """Steps of so many tokens together were sampled after the last prompt, each of which could be gone on with."""
        assert self._prompt is not None  # noqa: S101 - its prompt was sent
        self._count(self._prompt, paths, node, self._depth + 1, maker)
        self._levels[self._depth + 1] += tokens

    def clear(self) -> None:
        """Nothing more comes; the sum stays."""
        self._prompt = None

    def _count(self, prompt: Prefix, paths: Paths, node: int, level: int, maker: Maker) -> None:
        self._levels += [0] * (level + 1 - len(self._levels))
        counted, end, parent = paths.counted, paths.end, paths.parent
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
                return
            counted[node] = level + 1
            above = step.parent
            self._levels[level] += len(step.step_token_ids) if above is not None else _ROOT
            step, depth = above, depth - 1
