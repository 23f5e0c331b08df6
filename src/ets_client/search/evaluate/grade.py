"""Grade a run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from ...errors import ConfigurationError
from .bootstrap import bootstrap_intervals
from .candidates import answers_of, ended_paths_of, scale_of
from .comparer import Comparer
from .costs import costs_of
from .evaluation import Accuracy, Evaluation, Grader, QuestionEvaluation
from .published_grader import PublishedGrader
from .rules import RULES, Rule, published_choices, right_shares
from .tally import tally
from .votes import sizes, subsets

if TYPE_CHECKING:
    from ..loaded import LoadedQuestion, LoadedRun
    from .bootstrap import Interval
    from .candidates import Candidate, Scale
    from .equality import IsSame
    from .tally import Tally

__all__ = ["evaluate_run"]


@dataclass(slots=True)
class _Read:
    """What is kept of a question while the run goes by.

    Attributes:
        question: without what the rules make of it.
        candidates: its answers.
        tally: of these.
        published: whether each published rule is right.
        shares: how often each rule is right with the first n answers, for each n, and last with all.
    """

    question: QuestionEvaluation
    candidates: list[Candidate]
    tally: Tally
    published: dict[Rule, float]
    shares: dict[Rule, list[float]] = field(default_factory=dict[Rule, "list[float]"])


def evaluate_run(
    run: LoadedRun,
    name: str = "run",
    *,
    is_same: IsSame | None = None,
    scale: Scale | None = None,
    draws: int = 0,
    seed: int = 0,
    resamples: int = 10_000,
) -> Evaluation:
    """Grade a run's answers, choose among them in all ways, and count what they cost.

    An answer that was sampled m times counts as m answers. With fewer than n answers a question takes part at n with
    those it has. A question without answers is wrong. One that a budget or an error ended counts with the answers that
    it has; one that has not ended does not count.

    Args:
        run: as :func:`load_run` gives it.
        name: of the run, for tables and plots.
        is_same: whether two answers mean the same; by default math-verify says so.
        scale: what to do to scores; by default what they need: :func:`scale_of` says.
        draws: random subsets of each size for each question; 0 for the first n answers in order of arrival, as in
            search-and-learn.
        seed: of subsets and of the intervals.
        resamples: of the questions, for the intervals.

    Raises:
        ConfigurationError: math-verify is needed and not installed, or ``draws`` or ``resamples`` is out of range.
    """
    if draws < 0 or resamples < 1:
        raise ConfigurationError(f"draws = {draws}, resamples = {resamples}: draws >= 0 and resamples >= 1")
    unfinished = 0
    read: list[_Read] = []
    with Comparer() as comparer:
        grader = PublishedGrader(comparer.is_zero)
        for question in run.questions.values():
            if question.why is None:
                unfinished += 1
            else:
                read.append(_read(question, is_same or comparer, grader))
    if scale is None:
        scale = scale_of(score for each in read for candidate in each.candidates for score in candidate.step_scores)
    graded = [each for each in read if each.question.is_right is not None]
    counts = sizes(max((len(each.candidates) for each in graded), default=0))
    generator = np.random.default_rng(seed)
    for each in graded:
        orders = subsets(len(each.candidates), draws, generator)
        every = [*counts, max(1, len(each.candidates))]
        each.shares = right_shares(each.candidates, each.tally, scale, orders, every)
    accuracies, recorded = _accuracies(graded, counts, seed, resamples)
    questions = (
        replace(each.question, right={rule: shares[-1] for rule, shares in each.shares.items()}) for each in read
    )
    return Evaluation(
        name, run.manifest, tuple(questions), unfinished, scale, recorded, accuracies,
        given_up=tuple(comparer.given_up), seed=seed, resamples=resamples,
    )  # fmt: skip


def _accuracies(
    graded: list[_Read], counts: list[int], seed: int, resamples: int
) -> tuple[tuple[Accuracy, ...], Interval]:
    """Of all rules, and of the answers that the run gave."""
    cells: list[tuple[Grader, Rule, int | None]] = []
    rows: list[list[float]] = []
    for rule in RULES:
        for place, n in enumerate((*counts, None)):
            cells.append((Grader.MATH, rule, n))
            rows.append([each.shares[rule][place] for each in graded])
    for rule in graded[0].published if graded else ():
        cells.append((Grader.PUBLISHED, rule, None))
        rows.append([each.published[rule] for each in graded])
    rows.append([float(bool(each.question.is_right)) for each in graded])
    *intervals, recorded = bootstrap_intervals(rows, seed, resamples)
    accuracies = tuple(
        Accuracy(*cell, share, sum(len(each.candidates) >= (cell[2] or 0) for each in graded))
        for cell, share in zip(cells, intervals, strict=True)
    )
    return accuracies, recorded


def _read(question: LoadedQuestion, is_same: IsSame, grader: PublishedGrader) -> _Read:
    candidates = answers_of(question)
    found = tally(candidates, question.expected, is_same)
    is_right, published = None, dict[Rule, float]()
    if question.expected is not None:
        expected = question.expected
        is_right = question.answer is not None and is_same(question.answer, expected)
        published = {
            rule: float(answer is not None and grader(answer, expected))
            for rule, answer in published_choices(ended_paths_of(question), grader).items()
        }
    plain = QuestionEvaluation(
        question.number, question.problem, question.expected, question.answer, is_right, question.why or "",
        found.classes, {}, costs_of(question),
    )  # fmt: skip
    return _Read(plain, candidates, found, published)
