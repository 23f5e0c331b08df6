"""REBASE (Wu et al., arXiv 2408.00724): width by the softmax of the scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from ...errors import ConfigurationError
from .allocation import best_first, rebase_allocation
from .level import Level
from .mends import Mends, Variant
from .published import published_rebase_allocation, reverse_ties

if TYPE_CHECKING:
    from .view import Decision, TreeView

__all__ = ["Rebase"]

_MENDS = ("no_overshoot", "account_width", "keep_unscored", "count_lost")


@dataclass(frozen=True, slots=True)
class Rebase:
    """Each level shares out its width by the softmax of its scores.

    Args:
        temperature: of the softmax, > 0; low ones give nearly everything to the best.
        variant: ``paper`` for the published code with its defects, ``fixed`` without.
        mends: switches to set otherwise than the variant has them.
    """

    switches: ClassVar[tuple[str, ...]] = _MENDS

    temperature: float = 0.2
    variant: Variant = "fixed"
    mends: Mends = field(default_factory=Mends)

    def __post_init__(self) -> None:
        self.mends.check(self.variant, _MENDS)
        if not self.temperature > 0:
            raise ConfigurationError(f"temperature = {self.temperature}: it must be above 0")

    @property
    def name(self) -> str:
        """``rebase``."""
        return "rebase"

    def decide(self, view: TreeView) -> Decision:
        """The children of a level.

        Args:
            view: the tree.
        """
        mends = self.mends.of(self.variant)
        level = Level.of(view, self.variant, mends)
        if level.is_over:
            return level.over()
        exact = level.share(lambda scores: rebase_allocation(scores, level.width, self.temperature))
        try:
            published = level.share(lambda scores: published_rebase_allocation(scores, level.width, self.temperature))
        except ArithmeticError as error:
            return level.decide(exact, best_first(level.scores), {"published_fails": str(error)})
        if mends.no_overshoot:
            level.compare("no_overshoot", published, exact)
            return level.decide(exact, best_first(level.scores), {})
        return level.decide(published, reverse_ties(level.scores), {})

    def describe(self) -> list[str]:
        """What it does and what the variant implies, a line each."""
        about = f"REBASE at temperature {self.temperature:g}, variant {self.variant}"
        return [about, *self.mends.describe(self.variant, _MENDS)]
