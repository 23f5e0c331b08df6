"""Diverse verifier tree search (Beeching et al., 2024): subtrees that go their own ways, each a beam of one."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from ...errors import ConfigurationError
from .allocation import even_allocation
from .level import Level
from .mends import Mends, Variant
from .view import JsonValue, NodeState, NodeView, TreeView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .view import Decision

__all__ = ["Dvts", "contiguous_groups"]

_MENDS = ("no_overshoot", "account_width", "keep_unscored", "distinct_subtrees", "count_lost")


def contiguous_groups(places: Sequence[int], groups: int) -> list[list[int]]:
    """Neighbours together, in groups of equal size, the first ones with one more where it does not come out even.

    Args:
        places: what to divide.
        groups: how many, >= 1.
    """
    rest = iter(places)
    return [[next(rest) for _ in range(size)] for size in even_allocation(len(places), groups)]


@dataclass(frozen=True, slots=True)
class Dvts:
    """The first steps are divided into subtrees; in each, every level goes on from its best step alone.

    Args:
        subtrees: how many; None: the root of the width, rounded up.
        variant: ``paper`` for the published code with its defects, ``fixed`` without.
        mends: switches to set otherwise than the variant has them.
    """

    switches: ClassVar[tuple[str, ...]] = _MENDS

    subtrees: int | None = None
    variant: Variant = "fixed"
    mends: Mends = field(default_factory=Mends)

    def __post_init__(self) -> None:
        self.mends.check(self.variant, _MENDS)
        if self.subtrees is not None and self.subtrees < 1:
            raise ConfigurationError(
                f"subtrees = {self.subtrees}: it must be at least 1; None takes the root of the width"
            )

    @property
    def name(self) -> str:
        """``dvts``."""
        return "dvts"

    def decide(self, view: TreeView) -> Decision:
        """The children of a level.

        Args:
            view: the tree.
        """
        mends = self.mends.of(self.variant)
        level = Level.of(view, self.variant, mends)
        if level.is_over:
            return level.over()
        if view.depth == 0:
            return level.decide([level.width], [0], {})
        heads = self._heads(view, mends)
        counts = [0] * len(level.candidates)
        best = self._best(level, heads)
        if mends.account_width:
            for place, count in zip(best, self._shares(level, heads, best, mends), strict=True):
                counts[place] = count
        else:
            each = view.width // self._wanted(view)
            for place in best:
                number = level.candidates[place].number
                counts[place] = each * (heads.count(number) if view.depth == 1 else 1)
        self._clip(level, counts, mends)
        kept: list[JsonValue] = [level.candidates[place].number for place in sorted(best)]
        if view.depth == 1 and not mends.distinct_subtrees:
            wanted = max(len(counts), self._wanted(view))
            level.counted = [level.candidates[place % len(counts)].number for place in range(wanted)]
        return level.decide(counts, range(len(counts)), {"kept": kept})

    def _wanted(self, view: TreeView) -> int:
        return self.subtrees or math.ceil(math.sqrt(view.width))

    def _heads(self, view: TreeView, mends: Mends) -> list[int]:
        """The best first step of each group, by number: the heads of the subtrees, repeated as published."""
        first = Level.of(_at_depth_1(view), self.variant, mends)
        wanted = self._wanted(view)
        places = list(range(len(first.candidates)))
        if not places:
            return []
        if len(places) < wanted and not mends.distinct_subtrees:
            places = [place % len(places) for place in range(wanted)]
        groups = contiguous_groups(places, min(wanted, len(places)))
        return [first.candidates[max(group, key=lambda place: first.scores[place])].number for group in groups]

    def _best(self, level: Level, heads: Sequence[int]) -> list[int]:
        """Places of the candidates that go on, each the best below its parent; at depth 1 the heads."""
        if level.view.depth == 1:
            return [place for place, node in enumerate(level.candidates) if node.number in heads]
        best: dict[int, int] = {}
        for place, node in enumerate(level.candidates):
            other = best.setdefault(node.parent, place)
            if level.scores[place] > level.scores[other]:
                best[node.parent] = place
        return list(best.values())

    def _shares(self, level: Level, heads: Sequence[int], best: Sequence[int], mends: Mends) -> list[int]:
        """Each subtree's own width less what has ended in it; what dead subtrees leave goes to those with least."""
        view = level.view
        first = Level.of(_at_depth_1(view), self.variant, mends)
        own = dict.fromkeys(heads, 0)
        for head, width in zip(heads, even_allocation(first.width, max(1, len(heads))), strict=False):
            own[head] += width
        for node in view.nodes:
            if 1 < node.depth <= view.depth and node.state is not NodeState.OPEN:
                head = _head_of(view, node)
                if head in own:
                    own[head] -= node.multiplicity
        # One node a subtree: a subtree is a path.
        shares = [max(0, own.get(_head_of(view, level.candidates[place]), 0)) for place in best]
        plain = list(shares)
        while sum(shares) < level.width:
            shares[shares.index(min(shares))] += 1
        while sum(shares) > level.width:
            shares[shares.index(max(shares))] -= 1
        each = view.width // self._wanted(view)
        other: list[JsonValue] = [
            [level.candidates[place].number, each] for place, share in zip(best, shares, strict=True) if share != each
        ]
        if other:
            level.effect("account_width", "published", other)
        if plain != shares:
            level.effect("account_width", "from_ended_subtrees", sum(shares) - sum(plain))
        return shares

    def _clip(self, level: Level, counts: list[int], mends: Mends) -> None:
        if mends.no_overshoot and sum(counts) > level.width:
            level.effect("no_overshoot", "published", sum(counts))
            left = level.width
            for place, count in enumerate(counts):
                counts[place] = min(count, left)
                left -= counts[place]

    def describe(self) -> list[str]:
        """What it does and what the variant implies, a line each."""
        subtrees = self.subtrees or "the root of the width as"
        return [f"DVTS with {subtrees} subtrees, variant {self.variant}", *self.mends.describe(self.variant, _MENDS)]


def _at_depth_1(view: TreeView) -> TreeView:
    return replace(view, depth=1)


def _head_of(view: TreeView, node: NodeView) -> int:
    while node.depth > 1:
        node = view.nodes[node.parent]
    return node.number
