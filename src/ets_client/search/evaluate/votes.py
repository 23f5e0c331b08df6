"""Choose an answer among the first n of many. Pure; numpy does all subsets of a question at once."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Ints: TypeAlias = NDArray[np.int64]

__all__ = ["Vote", "chosen_best", "chosen_by_vote", "published_best", "published_vote", "sizes", "subsets"]


class Vote(StrEnum):
    """How an answer is chosen."""

    BEST = "best"  # the answer of the path with the best score
    VOTE = "vote"  # the most frequent answer
    WEIGHTED = "weighted"  # the answer with the highest sum of scores
    ANY = "any"  # whether the right answer is there at all: no choice could do better


def sizes(most: int) -> list[int]:
    """1, 2, 4, … up to ``most``."""
    return [1 << power for power in range(most.bit_length()) if 1 << power <= most]


def subsets(count: int, draws: int, generator: np.random.Generator) -> Ints:
    """Orders of the answers; the first n of each are a subset of n.

    Args:
        count: answers.
        draws: random orders; 0 for one: the order of arrival, as search-and-learn has it.
        generator: where chance comes from.

    Returns:
        One order a row.
    """
    arrival = np.arange(count, dtype=np.int64)
    if draws == 0:
        return arrival[np.newaxis]
    return generator.permuted(np.tile(arrival, (draws, 1)), axis=1)


def chosen_best(classes: Ints, scores: Floats, orders: Ints, counts: Sequence[int]) -> list[Ints]:
    """The class of the best of the first answers of each order; the first among equals.

    Args:
        classes: of each answer.
        scores: of each; NaN where it has none.
        orders: rows as :func:`subsets` gives them.
        counts: how many of the first count.

    Returns:
        For each count a class for each order; -1 where no answer has a score.
    """
    if not classes.size:
        return [np.full(len(orders), -1, dtype=np.int64)] * len(counts)
    seen = np.where(np.isnan(scores), -np.inf, scores)[orders]
    rows = np.arange(len(orders))
    chosen: list[Ints] = []
    for n in counts:
        best = seen[:, :n].argmax(axis=1)
        chosen.append(np.where(np.isneginf(seen[rows, best]), -1, classes[orders[rows, best]]))
    return chosen


def chosen_by_vote(classes: Ints, weights: Floats, orders: Ints, counts: Sequence[int]) -> list[Ints]:
    """The class with the most weight among the first answers of each order; the one stated first among equals.

    Args:
        classes: of each answer.
        weights: of each, >= 0; NaN weighs nothing.
        orders: rows as :func:`subsets` gives them.
        counts: how many of the first count.

    Returns:
        For each count a class for each order; -1 where nothing weighs anything.
    """
    if not classes.size:
        return [np.full(len(orders), -1, dtype=np.int64)] * len(counts)
    # order x place x class: 64 orders of 256 answers in 20 classes are 3 MB
    known = np.arange(int(classes.max()) + 1)
    is_of: NDArray[np.bool_] = np.equal(classes[orders][:, :, np.newaxis], known)
    stated = is_of.argmax(axis=1)
    weight = np.nan_to_num(weights, nan=0.0)[orders][:, :, np.newaxis]
    totals = np.cumsum(np.where(is_of, weight, 0.0), axis=1)
    chosen: list[Ints] = []
    for n in counts:
        sums = totals[:, min(n, classes.size) - 1]
        top = sums.max(axis=1)
        winner = np.where(sums == top[:, np.newaxis], stated, classes.size).argmin(axis=1)
        chosen.append(np.where(top > 0, winner, -1))
    return chosen


@dataclass(slots=True)
class _Class:
    representative: str
    weight: float


def published_vote(answers: Sequence[str], weights: Sequence[float], is_same: Callable[[str, str], bool]) -> str | None:
    """The vote of the published evaluator (``math_evaluate.py`` of thu-wyz/inference_scaling).

    Weights are added in order of arrival. Whenever a class comes strictly above all weights seen so far it leads, and
    is named by the answer that took it there. Nothing at or below 0 ever leads.

    Args:
        answers: in order; those that could not be found are all :data:`INVALID` and may win.
        weights: of each.
        is_same: whether an answer belongs to the class of another, which was stated first.

    Returns:
        The winner, or None.
    """
    groups: list[_Class] = []
    top, winner = 0.0, None
    for answer, weight in zip(answers, weights, strict=True):
        group = next((each for each in groups if is_same(answer, each.representative)), None)
        if group is None:
            groups.append(group := _Class(answer, weight))
        else:
            group.weight += weight
        if group.weight > top:
            top, winner = group.weight, answer
    return winner


def published_best(answers: Sequence[str], scores: Sequence[float]) -> str | None:
    """The published evaluator's best answer: the first with the highest score, :data:`INVALID` or not."""
    if not answers:
        return None
    return answers[max(range(len(answers)), key=lambda place: scores[place])]
