"""Beam search: the best few of each level go on."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from ...errors import ConfigurationError
from .allocation import beam_allocation, best_first
from .level import Level
from .mends import Mends, Variant
from .published import published_beam_allocation, reverse_ties

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .view import Decision, TreeView

__all__ = ["Beam"]

_MENDS = ("no_overshoot", "account_width", "keep_unscored", "count_lost")


@dataclass(frozen=True, slots=True)
class Beam:
    """The best ``beams`` nodes of each level share its width evenly.

    Args:
        beams: how many; None: the root of the width that is left, rounded up, so fewer as paths end.
        variant: ``paper`` for the published code with its defects, ``fixed`` without.
        mends: switches to set otherwise than the variant has them.
    """

    switches: ClassVar[tuple[str, ...]] = _MENDS

    beams: int | None = None
    variant: Variant = "fixed"
    mends: Mends = field(default_factory=Mends)

    def __post_init__(self) -> None:
        self.mends.check(self.variant, _MENDS)
        if self.beams is not None and self.beams < 1:
            raise ConfigurationError(f"beams = {self.beams}: it must be at least 1; None takes the root of the width")

    @property
    def name(self) -> str:
        """``beam``."""
        return "beam"

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
        published = published_beam_allocation(level.scores, level.width, self.beams)
        counts = self._counts(level.scores, level.width, mends)
        wanted = self.beams or math.ceil(math.sqrt(level.width))
        level.compare("no_overshoot" if wanted <= len(counts) else "account_width", published, counts)
        order = best_first(level.scores) if mends.no_overshoot and mends.account_width else reverse_ties(level.scores)
        return level.decide(counts, order, {"beams": wanted})

    def _counts(self, scores: Sequence[float], width: int, mends: Mends) -> list[int]:
        if mends.no_overshoot and mends.account_width:
            return beam_allocation(scores, width, self.beams)
        beams = self.beams or math.ceil(math.sqrt(width))
        if mends.account_width:
            return published_beam_allocation(scores, width, min(beams, len(scores)))
        counts = published_beam_allocation(scores, width, beams)
        if mends.no_overshoot:
            left = width
            # Among equal scores, whom the published order keeps.
            for place in reverse_ties(scores):
                counts[place] = min(counts[place], left)
                left -= counts[place]
        return counts

    def describe(self) -> list[str]:
        """What it does and what the variant implies, a line each."""
        beams = self.beams or "the root of the width as"
        return [f"beam search with {beams} beams, variant {self.variant}", *self.mends.describe(self.variant, _MENDS)]
