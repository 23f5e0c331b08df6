"""Samples as lines of a journal, and back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ...branch import Branch, EndReason
from ...errors import ConfigurationError
from ...logprobs import LogprobLists, Logprobs
from ...prefix import Prefix
from ...usage import Usage
from .entries import StepEntry

if TYPE_CHECKING:
    from ...prefix import Origin
    from .entries import QuestionEntry

__all__ = ["RecordedLogprobs", "branch_of", "root_of", "step_entry_of", "usage_of"]


class RecordedLogprobs(Logprobs):
    """Log-probabilities of a recorded step: a journal keeps their mean alone."""

    __slots__ = ("_mean",)

    def __init__(self, mean: float) -> None:
        super().__init__(_refuse)
        self._mean = mean

    @property
    def mean(self) -> float:
        """Mean log-probability of a token."""
        return self._mean

    def __repr__(self) -> str:
        return f"RecordedLogprobs(mean {self._mean:.3f})"


def _refuse() -> LogprobLists:
    raise ConfigurationError("a journal keeps only the mean of a step's log-probabilities: ask for `.mean`")


def step_entry_of(*pieces: Branch, failed: str | None = None) -> StepEntry:
    """A sample as a journal keeps it.

    Args:
        pieces: its branches, one after the other: a step that met its length and was continued has several.
        failed: why no step comes of them, although they were paid for; None when one does.
    """
    last = pieces[-1]
    mean = _mean(pieces)
    return StepEntry(
        ids=[token for piece in pieces for token in piece.token_ids],
        text="".join([*(piece.prefix.step_text for piece in pieces[:-1]), last.text]),
        full_text="".join(piece.prefix.step_text for piece in pieces),
        end=last.end.value,
        rid=last.rid,
        matched=last.matched,
        overshoot=last.overshoot,
        prompt=sum(piece.usage.prompt_tokens for piece in pieces),
        cached=sum(piece.usage.cached_tokens for piece in pieces),
        generated=sum(piece.usage.completion_tokens for piece in pieces),
        logprob=mean,
        failed=failed,
        pieces=len(pieces),
    )


def _mean(pieces: tuple[Branch, ...]) -> float | None:
    if len(pieces) == 1:  # as the branch says it, to the last bit
        logprobs = pieces[0].logprobs
        mean = math.nan if logprobs is None else logprobs.mean
    else:
        values = [value for piece in pieces if piece.logprobs is not None for value in piece.logprobs.values]
        mean = math.fsum(values) / len(values) if values else math.nan
    return mean if math.isfinite(mean) else None


def branch_of(step: StepEntry, parent: Prefix) -> Branch:
    """The branch that a recorded sample was: equal to it, but that of its log-probabilities only the mean is left.

    Args:
        step: a sample that did not fail.
        parent: the path that was expanded.
    """
    return Branch(
        text=step.text,
        token_ids=tuple(step.ids),
        prefix=parent.child(step.ids, step.full_text),
        end=EndReason(step.end),
        matched=step.matched,
        overshoot=step.overshoot,
        usage=usage_of(step),
        rid=step.rid,
        logprobs=None if step.logprob is None else RecordedLogprobs(step.logprob),
    )


def root_of(question: QuestionEntry, origin: Origin) -> Prefix:
    """The prompt that a recorded search began with.

    Args:
        question: as recorded.
        origin: of the client that goes on with it (``(await client.root("")).origin``).
    """
    return Prefix(question.root_ids, question.root_text, origin=origin)


def usage_of(step: StepEntry) -> Usage:
    """Tokens that a sample has cost on the policy."""
    return Usage(step.prompt, step.cached, step.generated)
