"""How good a run is, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ConfigurationError
from .bootstrap import Interval, bootstrap_interval, bootstrap_intervals
from .candidates import Scale, answers_of, ended_paths_of, scale_of
from .comparer import Comparer
from .costs import Costs, costs_of
from .published_grader import PublishedGrader
from .rules import RULES, Rule, published_choices, right_shares
from .tally import AnswerClass, tally
from .votes import sizes, subsets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..loaded import LoadedQuestion, LoadedRun
    from .candidates import Candidate
    from .equality import IsSame
    from .tally import Tally
    from .votes import Ints

__all__ = ["Accuracy", "Evaluation", "Grader", "QuestionEvaluation", "evaluate_run"]


class Grader(StrEnum):
    """Who says which answers are the same, and who votes."""

    MATH = "math"  # math-verify; only answers vote; see Rule
    PUBLISHED = "published"  # as the evaluator that ETS and REBASE were published with


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How often a rule is right.

    Attributes:
        grader: who grades.
        rule: who chooses.
        answers: of each question the first so many answers count, or as many as there are; None: all.
        share: of questions that are right, with its bootstrap interval over the questions.
        questions: of these, how many have so many answers.
    """

    grader: Grader
    rule: Rule
    answers: int | None
    share: Interval
    questions: int


@dataclass(frozen=True)
class QuestionEvaluation:
    """One question.

    Attributes:
        number: in the run.
        problem: its text.
        expected: the right answer, when known.
        answer: the run's own.
        is_right: whether it is right; None when that is not known.
        why: why it ended: ``done``, ``depth``, the budget that was used up, or an error.
        classes: its answers, those that mean the same together.
        right: how often each rule is right with all answers; empty when it is not known what is right.
        costs: what it cost.
    """

    number: int
    problem: str
    expected: str | None
    answer: str | None
    is_right: bool | None
    why: str
    classes: tuple[AnswerClass, ...]
    right: Mapping[Rule, float]
    costs: Costs

    @property
    def answers(self) -> int:
        """Samples that state an answer."""
        return sum(each.votes for each in self.classes)


@dataclass(frozen=True)
class Evaluation:
    """A run's accuracies and costs.

    Attributes:
        name: of the run.
        manifest: of the run.
        questions: those that ended, in order.
        unfinished: questions that have not ended; they count nowhere.
        scale: what was done to scores; see :class:`Scale`.
        recorded: accuracy of the answers that the run itself gave.
        accuracies: of all rules, at 1, 2, 4, … answers and at all.
        given_up: pairs of answers that could not be compared in time and count as different.
        seed: of subsets and intervals.
        resamples: of the intervals.
    """

    name: str
    manifest: Mapping[str, Any]
    questions: tuple[QuestionEvaluation, ...]
    unfinished: int
    scale: Scale
    recorded: Interval
    accuracies: tuple[Accuracy, ...]
    given_up: tuple[tuple[str, str], ...] = field(kw_only=True)
    seed: int = field(kw_only=True)
    resamples: int = field(kw_only=True)

    @property
    def graded(self) -> int:
        """Questions whose right answer is known."""
        return sum(question.is_right is not None for question in self.questions)

    def accuracy(self, rule: Rule, answers: int | None = None, grader: Grader = Grader.MATH) -> Accuracy:
        """The accuracy of one rule.

        Args:
            rule: who chooses.
            answers: how many count; None for all.
            grader: who grades.

        Raises:
            KeyError: it was not evaluated.
        """
        for each in self.accuracies:
            if (each.rule, each.answers, each.grader) == (rule, answers, grader):
                return each
        raise KeyError(f"no accuracy of {rule} at {answers} answers, graded by {grader}")

    def mean_costs(self) -> dict[str, float]:
        """What a question cost on average, by the names of :class:`Costs`."""
        count = max(1, len(self.questions))
        return {
            name.name: sum(getattr(question.costs, name.name) for question in self.questions) / count
            for name in fields(Costs)
        }

    def gain_over(self, other: Evaluation, rule: Rule) -> Interval:
        """How much more often a rule is right here than in another run, on the questions that both have.

        The questions are resampled in pairs, so that their difficulty cancels out.

        Args:
            other: another run.
            rule: who chooses, among all answers.
        """
        there = {question.problem: question.right for question in other.questions if question.right}
        pairs = [
            question.right[rule] - there[question.problem][rule]
            for question in self.questions
            if question.right and question.problem in there
        ]
        return bootstrap_interval(pairs, self.seed, self.resamples)


@dataclass(slots=True)
class _Read:
    """What is kept of a question while the run goes by."""

    question: QuestionEvaluation
    candidates: list[Candidate]
    tally: Tally
    published: dict[Rule, float]


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
    generator = np.random.default_rng(seed)
    graded = [each for each in read if each.question.is_right is not None]
    counts = sizes(max((len(each.candidates) for each in graded), default=0))
    values: dict[tuple[Rule, int | None], list[float]] = {(rule, n): [] for rule in RULES for n in (*counts, None)}
    evaluated: list[QuestionEvaluation] = []
    for each in read:
        right: dict[Rule, float] = {}
        if each.question.is_right is not None:
            shares = _shares(each, scale, subsets(len(each.candidates), draws, generator), counts)
            for rule, of_counts in shares.items():
                for n, share in zip((*counts, None), of_counts, strict=True):
                    values[rule, n].append(share)
                right[rule] = of_counts[-1]
        evaluated.append(replace(each.question, right=right))
    cells: list[tuple[Grader, Rule, int | None]] = [(Grader.MATH, rule, n) for rule, n in values]
    rows = [*values.values()]
    for rule in graded[0].published if graded else ():
        cells.append((Grader.PUBLISHED, rule, None))
        rows.append([each.published[rule] for each in graded])
    rows.append([float(bool(each.question.is_right)) for each in graded])
    *intervals, recorded = bootstrap_intervals(rows, seed, resamples)
    accuracies = tuple(
        Accuracy(*cell, share, sum(len(each.candidates) >= (cell[2] or 0) for each in graded))
        for cell, share in zip(cells, intervals, strict=True)
    )
    return Evaluation(
        name, run.manifest, tuple(evaluated), unfinished, scale, recorded, accuracies,
        given_up=tuple(comparer.given_up), seed=seed, resamples=resamples,
    )  # fmt: skip


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


def _shares(read: _Read, scale: Scale, orders: Ints, counts: list[int]) -> dict[Rule, list[float]]:
    """With the first n of each count, and last with all."""
    return right_shares(read.candidates, read.tally, scale, orders, [*counts, max(1, len(read.candidates))])
