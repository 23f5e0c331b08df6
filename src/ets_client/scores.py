"""What a reward model says of a path."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["LabelProbs", "ScoreFailure"]


@dataclass(frozen=True, slots=True)
class LabelProbs:
    """Probabilities of a few labels as the next token after a prefix.

    Attributes:
        token_ids: the labels.
        logprobs: natural logarithms of their probabilities over the whole vocabulary, at temperature 1.
    """

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]

    @property
    def probs(self) -> tuple[float, ...]:
        """Probabilities renormalised over the labels; they add up to 1."""
        top = max(self.logprobs)
        weights = [math.exp(value - top) for value in self.logprobs]
        total = math.fsum(weights)
        return tuple(weight / total for weight in weights)


@dataclass(frozen=True, slots=True)
class ScoreFailure:
    """A score that could not be had.

    Attributes:
        reason: why, in one line.
    """

    reason: str
