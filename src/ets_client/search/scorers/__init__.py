"""Who scores the paths of a search."""

from .logprob import LogProb
from .scorer import PathScore, ScoredPath, Scorer

__all__ = ["LogProb", "PathScore", "ScoredPath", "Scorer"]
