"""A run made again from its journal alone: are its decisions the method's, and what would another one have found?"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import msgspec

from ..errors import ConfigurationError
from ..prefix import Origin
from ..sampling import SamplingParams
from .answers import weighted_vote
from .budget import Budget, Spending
from .course import Course
from .free import grow_freely
from .growth import Growth
from .journal import JournalError, Paid, RunFolder, root_of
from .journal.file import JournalFile
from .levels import grow_by_levels
from .options import SearchOptions
from .record import Record
from .sampler import Sampler
from .scorers import CallableScorer, LogProb, SelfConsistency
from .scoring import Scoring

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Collection, Sequence

    from ..policy_calls import PolicyCalls
    from ..usage import Usage
    from .arrivals import Arrival
    from .journal import DecisionEntry, PaidQuestion
    from .manifest import Manifest
    from .methods import Decision, Method
    from .scorers import Scorer
    from .tree import Node, SearchTree

__all__ = ["DecisionDifference", "RecordsEnd", "ReplayedQuestion", "replay"]


@dataclass(frozen=True, slots=True)
class DecisionDifference:
    """A decision that is not the recorded one. Notes do not count: a solver's differ with its version.

    Attributes:
        turn: decisions before it.
        recorded: as the journal has it.
        made: what the method decides on the same tree.
    """

    turn: int
    recorded: DecisionEntry
    made: DecisionEntry

    def __str__(self) -> str:
        what = "memory" if self.recorded.children == self.made.children else "children"
        before, now = getattr(self.recorded, what), getattr(self.made, what)
        return f"turn {self.turn}, level {self.recorded.depth}: {what} recorded {before}, made {now}"


@dataclass(frozen=True, slots=True)
class RecordsEnd:
    """Where a search wanted what nobody has paid for.

    Attributes:
        node: the node whose samples it wanted, or whose score.
        place: of the first sample among the node's that is not in the journal; None when it is the score.
        wanted: samples that it wanted and that are not there; 0 when it is the score.
    """

    node: str
    place: int | None
    wanted: int

    def __str__(self) -> str:
        if self.place is None:
            return f"node {self.node} was never scored"
        return f"sample {self.place} of node {self.node} was never drawn; {self.wanted} more than there are were wanted"


@dataclass(frozen=True)
class ReplayedQuestion:
    """A search made again.

    Attributes:
        number: of the question.
        tree: its nodes, up to where the records end.
        answer: the winner of the vote among them.
        why: why it ended; ``records`` when they did.
        decisions: what the method decided, in order.
        difference: the first decision that is not the recorded one, or None when all are.
        records_end: what was wanted and is not in the journal, or None.
    """

    number: int
    tree: SearchTree
    answer: str | None
    why: str
    decisions: tuple[DecisionEntry, ...]
    difference: DecisionDifference | None
    records_end: RecordsEnd | None


async def replay(
    path: str | os.PathLike[str],
    method: Method,
    *,
    scorer: Scorer | None = None,
    options: SearchOptions | None = None,
    questions: Collection[int] | None = None,
    cut: bool = False,
) -> AsyncIterator[ReplayedQuestion]:
    """Search again on what a journal holds. Nothing is sent, and nothing is written.

    With the run's method and options all decisions are the recorded ones; one that is not is told by
    :attr:`ReplayedQuestion.difference`. With another method, or other options, this is what it would have found, as far
    as the journal has the samples that it wants: nothing is made up. A search that a budget ended goes on until the
    records end.

    Args:
        path: the run's folder.
        method: who decides.
        scorer: whose weights count in the vote; it scores nothing. None for the weights of the run's.
        options: width, depth, barrier and budget, of which tokens alone count; None for the run's, without a budget.
        questions: numbers; None for all.
        cut: whether to go without all that follows a damaged line.

    Yields:
        The questions, in order.

    Raises:
        JournalError: the run cannot be read, or has no such question.
        ConfigurationError: the run was not made by :class:`TreeSearch`, and no ``options`` are given.
    """
    file = await asyncio.to_thread(JournalFile, RunFolder(path).journal, cut=cut)
    manifest, paid = file.manifest(), Paid(file)
    replaying = _Replaying(manifest, method, scorer or _scorer_of(manifest), options or _options_of(manifest))
    for number in sorted(file) if questions is None else questions:
        known = await asyncio.to_thread(paid.question, number)
        if known is None:
            raise JournalError(f"{file.path} has no question {number}")
        yield await replaying.run(number, known)


class _RecordsEndError(Exception):
    def __init__(self, end: RecordsEnd) -> None:
        super().__init__(str(end))
        self.end = end


@dataclass(frozen=True)
class _Replaying:
    """What all questions have in common."""

    manifest: Manifest
    method: Method
    scorer: Scorer
    options: SearchOptions

    async def run(self, number: int, paid: PaidQuestion) -> ReplayedQuestion:
        """One question."""
        if paid.root is None:
            raise JournalError(f"question {number} has lines, but none that tells how it began")
        recorded, options = self.manifest.rules, replace(self.options, budget=Budget(tokens=self.options.budget.tokens))
        rules = msgspec.structs.replace(
            recorded,
            max_path_tokens=options.max_path_tokens or recorded.max_path_tokens,
            by_level=options.barrier == "level",
            depth=options.depth,
        )
        root, problem = root_of(paid.root, Origin(self.manifest.policy.tokenizer)), paid.root.problem
        growth, record, spending = Growth(root, rules, options.width), _PaidRecord(number, paid), Spending(0.0)
        sampler = Sampler(
            cast("PolicyCalls", None),  # whatever is not in the record ends the search before it is asked for
            options, SamplingParams(), SamplingParams(), record, spending, number=number,
            max_path_tokens=rules.max_path_tokens, needs_logprobs=False,
        )  # fmt: skip
        scoring = _PaidScoring(self.scorer, rules, problem, record, spending)
        course = Course(
            number, self.method, self.scorer, options, growth, sampler, scoring, record, spending, Budget(),
            lambda event: None,  # noqa: ARG005 - nobody watches
        )  # fmt: skip
        end: RecordsEnd | None = None
        try:
            why = await (grow_by_levels if rules.by_level else grow_freely)(course)
        except _RecordsEndError as error:
            why, end = "records", error.end
        answer = weighted_vote(
            (node.answer or "", node.multiplicity * self.scorer.weight(node.step_scores()))
            for node in growth.tree.answered()
        )
        return ReplayedQuestion(number, growth.tree, answer, why, tuple(record.made), record.difference, end)


class _PaidRecord(Record):
    """A journal that is asked for what was paid, and compared with what is decided."""

    def __init__(self, number: int, paid: PaidQuestion) -> None:
        super().__init__(number, None, paid)
        self._recorded = paid
        self.made: list[DecisionEntry] = []
        self.difference: DecisionDifference | None = None

    def decision(self, turn: int) -> DecisionEntry | None:  # noqa: ARG002 - the method is asked again
        return None

    def after(self, turn: int) -> str | None:
        return None if self.difference is not None else super().after(turn)

    async def decided(
        self, turn: int, depth: int, children: Sequence[tuple[Node, int]], made: Decision
    ) -> DecisionEntry:
        entry, recorded = await super().decided(turn, depth, children, made), self._recorded.decision(turn)
        self.made.append(entry)
        if self.difference is None and recorded is not None and _essence(entry) != _essence(recorded):
            self.difference = DecisionDifference(turn, recorded, entry)
        return entry

    def steps(self, parent: Node, first: int, n: int) -> tuple[list[Arrival], Usage]:
        arrivals, warm = super().steps(parent, first, n)
        there = {arrival.place for arrival in arrivals}
        missing = [place for place in range(first, first + n) if place not in there]
        if missing:
            raise _RecordsEndError(RecordsEnd(parent.id, missing[0], len(missing)))
        return arrivals, warm


def _essence(entry: DecisionEntry) -> object:
    return entry.depth, entry.children, entry.memory


class _PaidScoring(Scoring):
    """Scores that the journal has."""

    async def score(self, groups: Sequence[Sequence[Arrival]]) -> None:
        for group in groups:
            if not self._take_recorded(group):
                raise _RecordsEndError(RecordsEnd(group[0].id, None, 0))


def _options_of(manifest: Manifest) -> SearchOptions:
    search, depth = manifest.search, manifest.rules.depth
    try:
        options = SearchOptions(width=search["width"], barrier=search["barrier"], on_length=search["on_length"])
    except KeyError as missing:
        raise ConfigurationError(f"the run's manifest does not tell its {missing}: give `options`") from None
    return options if depth is None else replace(options, depth=depth)


def _scorer_of(manifest: Manifest) -> Scorer:
    name = manifest.scorer.get("name", "")
    known = {each.name: each for each in (LogProb(), SelfConsistency())}
    return known.get(name) or CallableScorer(lambda paths: [None] * len(paths), name=name)  # it only weighs
