"""What an evaluation of a run tells."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from .bootstrap import Interval, bootstrap_interval
from .costs import Costs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .candidates import Scale
    from .rules import Rule
    from .tally import AnswerClass

__all__ = ["Accuracy", "Evaluation", "Grader", "QuestionEvaluation"]


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

        The questions are resampled in pairs, so that their difficulty cancels out. One that a run has several times is
        paired in order.

        Args:
            other: another run.
            rule: who chooses, among all answers.
        """
        here, there = _by_problem(self.questions), _by_problem(other.questions)
        pairs = [right[rule] - there[key][rule] for key, right in here.items() if key in there]
        return bootstrap_interval(pairs, self.seed, self.resamples)


def _by_problem(questions: Iterable[QuestionEvaluation]) -> dict[tuple[str, int], Mapping[Rule, float]]:
    """What was right of each question that is graded, by its text and how often it was there before."""
    found: dict[tuple[str, int], Mapping[Rule, float]] = {}
    seen = Counter[str]()
    for question in questions:
        if question.right:
            found[question.problem, seen[question.problem]] = question.right
        seen[question.problem] += 1
    return found
