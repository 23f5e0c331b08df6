"""Scores without a reward model: what the policy finds likely."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ...scores import ScoreFailure
from .scorer import PathScore, Scorer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .scorer import ScoredPath

__all__ = ["LogProb"]


class LogProb(Scorer):
    """The mean log-probability of a step's tokens.

    It stands in for a reward model: it tells what the policy finds likely, not what is right. An answer counts in the
    vote with exp(mean score of its path's steps).
    """

    is_local = True
    needs_logprobs = True

    @property
    def name(self) -> str:
        """``logprob``."""
        return "logprob"

    async def score(self, paths: Sequence[ScoredPath]) -> Sequence[PathScore | ScoreFailure]:
        """The means; an empty step has none."""
        return [_outcome(path) for path in paths]

    def weight(self, step_scores: Sequence[float]) -> float:
        """See the class."""
        return math.exp(math.fsum(step_scores) / len(step_scores)) if step_scores else 0.0

    def __repr__(self) -> str:
        return "LogProb()"


def _outcome(path: ScoredPath) -> PathScore | ScoreFailure:
    logprobs = path.branch.logprobs
    mean = math.nan if logprobs is None else logprobs.mean
    return PathScore(mean) if math.isfinite(mean) else ScoreFailure("the step has no log-probabilities")
