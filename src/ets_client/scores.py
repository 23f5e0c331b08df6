"""What a reward model says of a path."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from .usage import Usage

__all__ = ["LabelChoice", "LabelProbs", "RewardScore", "ScoreFailure"]


@dataclass(frozen=True, slots=True)
class LabelProbs:
    """Probabilities of a few labels as the next token after a prefix.

    Attributes:
        token_ids: the labels.
        logprobs: natural logarithms of their probabilities over the whole vocabulary, at temperature 1.
        usage: tokens that it cost: of one prompt for each label. It does not count when two are compared.
    """

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    usage: Usage = field(default=Usage(), compare=False)

    @property
    def probs(self) -> tuple[float, ...]:
        """Probabilities renormalised over the labels; they add up to 1."""
        top = max(self.logprobs)
        weights = [math.exp(value - top) for value in self.logprobs]
        total = math.fsum(weights)
        return tuple(weight / total for weight in weights)


@dataclass(frozen=True, slots=True)
class LabelChoice:
    """How a model that must answer with one of a few labels would choose.

    Attributes:
        token_ids: the labels.
        probs: their probabilities as the next token after a prefix, renormalised over the labels; they add up to 1.
        usage: tokens that it cost: of one prompt. It does not count when two are compared.
    """

    token_ids: tuple[int, ...]
    probs: tuple[float, ...]
    usage: Usage = field(default=Usage(), compare=False)


@dataclass(frozen=True, slots=True)
class RewardScore:
    """What a reward or classification head says of a prefix.

    Attributes:
        values: the head's outputs at the last token, as the model gives them: no sigmoid, no softmax. One of a reward
            model, one a class of a classifier, in the order of ``id2label`` in the model's config.
        usage: tokens that were sent; SGLang does not tell of these which were in its cache. It does not count when two
            are compared.
    """

    values: tuple[float, ...]
    usage: Usage = field(default=Usage(), compare=False)

    @property
    def value(self) -> float:
        """The only output of a reward model.

        Raises:
            ValueError: the head has several: choose one of :attr:`values`.
        """
        if len(self.values) != 1:
            raise ValueError(f"the head has {len(self.values)} outputs, {self.values}: choose one of `values`")
        return self.values[0]


@dataclass(frozen=True, slots=True)
class ScoreFailure:
    """A score that could not be had.

    Attributes:
        reason: why, in one line.
    """

    reason: str
