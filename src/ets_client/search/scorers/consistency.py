"""Scores without a reward model: what many samples agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..answers import is_same_answer
from .scorer import PathScore, Scorer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...scores import ScoreFailure
    from .scorer import ScoredPath

__all__ = ["SelfConsistency"]


class SelfConsistency(Scorer):
    """The share of a level's samples that agree: that state the same answer, or else are the same step in words.

    Every answer counts the same in the vote (Wang et al., arXiv 2203.11171). It compares samples that are scored
    together, so it needs a barrier.
    """

    is_local = True

    @property
    def name(self) -> str:
        """``self_consistency``."""
        return "self_consistency"

    async def score(self, paths: Sequence[ScoredPath]) -> Sequence[PathScore | ScoreFailure]:
        """Compare them with each other."""
        total = sum(path.multiplicity for path in paths)
        agreed = [sum(other.multiplicity for other in paths if _agree(path, other)) for path in paths]
        return [PathScore(count / total) for count in agreed]

    def weight(self, step_scores: Sequence[float]) -> float:  # noqa: ARG002 - whatever they are
        """One vote each."""
        return 1.0

    def __repr__(self) -> str:
        return "SelfConsistency()"


def _agree(one: ScoredPath, two: ScoredPath) -> bool:
    if one.answer is not None or two.answer is not None:
        return one.answer is not None and two.answer is not None and is_same_answer(one.answer, two.answer)
    return one.branch.text.split() == two.branch.text.split()
