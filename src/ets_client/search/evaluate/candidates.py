"""The answers of a search, with what they weigh. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ..methods.view import NodeState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..loaded import LoadedQuestion

__all__ = ["INVALID", "Aggregation", "Candidate", "Scale", "aggregate", "answers_of", "ended_paths_of", "scale_of"]

INVALID = "[invalid]"  # what the published evaluator calls an answer that it cannot find


class Aggregation(StrEnum):
    """How the scores of a path's steps become one."""

    LAST = "last"
    MIN = "min"
    MEAN = "mean"
    PROD = "prod"


class Scale(StrEnum):
    """What is done to every score first, since sums and products of negative ones mean nothing."""

    RECORDED = "recorded"  # nothing: probabilities
    EXP = "exp"  # log-probabilities
    SIGMOID = "sigmoid"  # what a reward head says


@dataclass(frozen=True, slots=True)
class Candidate:
    """A path that ended.

    Attributes:
        node: id of its last node.
        answer: what it states.
        step_scores: of its steps, from the first; None where there is none.
    """

    node: str
    answer: str
    step_scores: tuple[float | None, ...]


def answers_of(question: LoadedQuestion) -> list[Candidate]:
    """All answers in order of arrival, those of one moment in order of creation, each as often as it was sampled."""
    nodes = sorted(question.answered(), key=lambda node: (node.at, node.number))
    return [
        Candidate(node.id, node.answer or "", tuple(question.step_scores(node)))
        for node in nodes
        for _ in range(node.multiplicity)
    ]


def ended_paths_of(question: LoadedQuestion) -> list[Candidate]:
    """What the published evaluator votes on: all ended paths in order of creation, those without an answer too.

    A comma is no part of an answer there. Published searches create their nodes in the order in which samples are asked
    for; an answer that was sampled several times counts so often where it was created.
    """
    return [
        Candidate(
            node.id,
            INVALID if node.answer is None else node.answer.strip().replace(",", ""),
            tuple(question.step_scores(node)),
        )
        for node in question.nodes.values()
        if node.state is NodeState.ENDED
        for _ in range(node.multiplicity)
    ]


def scale_of(scores: Iterable[float | None]) -> Scale:
    """The scale that scores seem to need: none for those from 0 up, exp when none is above 0, else sigmoid."""
    known = [score for score in scores if score is not None]
    if min(known, default=0.0) >= 0:
        return Scale.RECORDED
    return Scale.EXP if max(known) <= 0 else Scale.SIGMOID


def aggregate(step_scores: Sequence[float | None], how: Aggregation, scale: Scale = Scale.RECORDED) -> float | None:
    """The score of a path.

    Args:
        step_scores: of its steps, from the first.
        how: to make one of them.
        scale: what is done to each first.

    Returns:
        None when a score that it needs is missing: the last one for ``last``, any for the others.
    """
    needed = step_scores[-1:] if how is Aggregation.LAST else step_scores
    scores = [_scaled(score, scale) for score in needed if score is not None]
    if not scores or len(scores) < len(needed):
        return None
    match how:
        case Aggregation.LAST:
            return scores[-1]
        case Aggregation.MIN:
            return min(scores)
        case Aggregation.MEAN:
            return math.fsum(scores) / len(scores)
        case Aggregation.PROD:
            return math.prod(scores)


def _scaled(score: float, scale: Scale) -> float:
    match scale:
        case Scale.RECORDED:
            return score
        case Scale.EXP:
            return math.exp(score)
        case Scale.SIGMOID:
            return 1 / (1 + math.exp(-score)) if score >= 0 else math.exp(score) / (1 + math.exp(score))
