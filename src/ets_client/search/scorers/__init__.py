"""Who scores the paths of a search."""

from .scorer import PathScore, ScoredPath, Scorer

__all__ = ["PathScore", "ScoredPath", "Scorer"]
