"""All ways to choose an answer, applied to one question."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .candidates import INVALID, Aggregation, Scale, aggregate
from .votes import Vote, chosen_best, chosen_by_vote, published_best, published_vote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .candidates import Candidate
    from .equality import IsSame
    from .tally import Tally
    from .votes import Ints

__all__ = ["RULES", "Rule", "published_choices", "right_shares"]


class Rule(NamedTuple):
    """A way to choose.

    Attributes:
        vote: how.
        aggregation: of the step scores; None where scores do not count.
    """

    vote: Vote
    aggregation: Aggregation | None = None

    def __str__(self) -> str:
        return self.vote if self.aggregation is None else f"{self.vote} {self.aggregation}"


RULES = (
    Rule(Vote.VOTE),
    *(Rule(vote, aggregation) for vote in (Vote.WEIGHTED, Vote.BEST) for aggregation in Aggregation),
    Rule(Vote.ANY),
)


def right_shares(
    candidates: Sequence[Candidate], tally: Tally, scale: Scale, orders: Ints, counts: Sequence[int]
) -> dict[Rule, list[float]]:
    """How often each rule is right, over the orders, with the first answers of each.

    Args:
        candidates: the answers.
        tally: of these.
        scale: of the scores.
        orders: as :func:`~.votes.subsets` gives them.
        counts: how many of the first count.

    Returns:
        For each rule a share for each count.
    """
    classes = np.array([tally.class_of[each.answer] for each in candidates], dtype=np.int64)
    right = np.array([bool(each.is_right) for each in tally.classes] + [False])  # the last is for -1: no choice
    plain = np.ones(len(candidates))
    shares: dict[Rule, list[float]] = {}
    for rule in RULES:
        vote, how = rule
        if how is None:
            scores = plain
        else:
            found = [aggregate(each.step_scores, how, scale) for each in candidates]
            scores = np.array([np.nan if each is None else each for each in found], dtype=np.float64)
        if vote is Vote.ANY:
            shares[rule] = [float(right[classes[orders[:, :n]]].any(axis=1).mean()) for n in counts]
        else:
            choose = chosen_best if vote is Vote.BEST else chosen_by_vote
            shares[rule] = [float(right[each].mean()) for each in choose(classes, scores, orders, counts)]
    return shares


def published_choices(ended: Sequence[Candidate], is_same: IsSame) -> dict[Rule, str | None]:
    """What the published evaluator answers, by each rule that it has.

    A missing score counts 0, as its ``last`` has it; its ``mean`` and ``prod`` stop at one with an exception. Its
    ``min`` begins at 1 and passes over missing scores. Scores are taken as recorded.

    Args:
        ended: all paths that ended; see :func:`~.candidates.ended_paths_of`.
        is_same: its grader.
    """
    answers = [each.answer for each in ended]
    chosen: dict[Rule, str | None] = {Rule(Vote.VOTE): published_vote(answers, [1.0] * len(answers), is_same)}
    for how in Aggregation:
        weights = [_published_aggregate(each.step_scores, how) for each in ended]
        chosen[Rule(Vote.WEIGHTED, how)] = published_vote(answers, weights, is_same)
        chosen[Rule(Vote.BEST, how)] = published_best(answers, weights)
    return {rule: None if answer == INVALID else answer for rule, answer in chosen.items()}


def _published_aggregate(step_scores: Sequence[float | None], how: Aggregation) -> float:
    if how is Aggregation.MIN:
        return min([1.0, *(score for score in step_scores if score is not None)]) if step_scores else 0.0
    return aggregate([score or 0.0 for score in step_scores], how) or 0.0
