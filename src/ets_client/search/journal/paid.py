"""What a journal says was paid for and decided. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from enum import Enum
from typing import TYPE_CHECKING

import msgspec

from ..children import identity
from .entries import DecisionEntry, EndEntry, QuestionEntry, RunEntry, ScoresEntry, StepsEntry
from .garbage import without_collections

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .entries import Entry

__all__ = ["MISSING", "Missing", "Paid", "PaidQuestion"]


class Missing(Enum):
    """A node's score that no line of the journal tells: not even that there is none."""

    MISSING = "missing"


MISSING = Missing.MISSING


class PaidQuestion:
    """What was paid for and decided in one search.

    Attributes:
        root: how it began, or None when that is not in the journal.
        ended: how it ended, or None.
        entries: all its lines, in order.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = tuple(entries)
        self.root: QuestionEntry | None = None
        self.ended: EndEntry | None = None
        self._decisions: dict[int, DecisionEntry] = {}
        self._places: dict[str, list[int]] = {}  # of a parent, each place that was sampled, sorted
        self._by_place: dict[tuple[str, int], StepsEntry] = {}
        self._scores: dict[str, float | None] = {}
        self._reasons: dict[str, str] = {}
        self._scored: dict[tuple[str, tuple[int, ...]] | None, str] | None = None  # made when it is first needed
        for entry in self.entries:
            self._add(entry)

    def _add(self, entry: Entry) -> None:
        match entry:
            case QuestionEntry():
                self.root = self.root or entry
            case DecisionEntry():
                self._decisions.setdefault(entry.turn, entry)
            case StepsEntry():
                places = self._places.setdefault(entry.parent, [])
                for place in range(entry.first, entry.first + len(entry.steps)):
                    if (entry.parent, place) not in self._by_place:  # what was paid for first was used
                        self._by_place[entry.parent, place] = entry
                        insort(places, place)
            case ScoresEntry():
                for index, (node, value) in enumerate(zip(entry.nodes, entry.values, strict=True)):
                    self._scores.setdefault(node, value)
                    if value is None:
                        self._reasons.setdefault(node, entry.reasons.get(index, ""))
            case EndEntry():
                self.ended = entry
            case RunEntry():
                pass

    @property
    def seconds(self) -> float:
        """How long earlier sessions searched: to the end that they wrote, and as long as samples were under way since.

        A session that was killed writes no end, and the time until the next one is nobody's.
        """
        told, spans = 0.0, list[tuple[float, float]]()
        for entry in self.entries:
            match entry:
                case EndEntry():
                    told, spans = entry.seconds, []
                case StepsEntry():
                    spans.append((entry.at - entry.seconds, entry.at))
                case _:
                    pass
        until = -math.inf
        for begin, end in sorted(spans):
            told += max(0.0, end - max(begin, until))
            until = max(until, end)
        return told

    @property
    def decisions(self) -> list[DecisionEntry]:
        """All decisions, in the order of turns."""
        return [self._decisions[turn] for turn in sorted(self._decisions)]

    def decision(self, turn: int) -> DecisionEntry | None:
        """The decision of a turn, or None when it was not recorded."""
        return self._decisions.get(turn)

    def steps(self, node: str, first: int, n: int) -> list[StepsEntry]:
        """What there is of a node's samples.

        Args:
            node: the parent's id.
            first: place of the first sample among its children.
            n: samples.

        Returns:
            Entries in the order of places, cut to what was asked for; places that none covers were not paid for. Of an
            entry of which only a later part was asked for, the tokens that warmed the prefix are left out, and its
            request's seed is that of its first sample.
        """
        places = self._places.get(node, [])
        ranges: list[tuple[StepsEntry, int, int]] = []
        inside = places[bisect_left(places, first) : bisect_left(places, first + n)]
        for place in inside:
            entry = self._by_place[node, place]
            if ranges and ranges[-1][0] is entry and ranges[-1][2] == place:
                ranges[-1] = entry, ranges[-1][1], place + 1
            else:
                ranges.append((entry, place, place + 1))
        return [_part(*each) for each in ranges]

    def scores(self, node: str) -> float | Missing | None:
        """A sample's score, None when it is recorded that it has none, ``MISSING`` when nothing is recorded.

        Of samples that came out alike one was scored, and its score is that of all.
        """
        return self._scores.get(self._scored_as(node), MISSING)

    def reason(self, node: str) -> str:
        """Why a sample has no score; "" when it has one or nothing is recorded."""
        return self._reasons.get(self._scored_as(node), "")

    def _scored_as(self, node: str) -> str:
        if node in self._scores:
            return node
        if self._scored is None:
            self._scored = {self._step(each): each for each in reversed(self._scores)}
        step = self._step(node)
        return node if step is None else self._scored.get(step, node)

    def _step(self, node: str) -> tuple[str, tuple[int, ...]] | None:
        """Equal for samples that came out alike; None for what was never sampled."""
        parent, _, place = node.rpartition(".")
        entry = self._by_place.get((parent, int(place))) if parent else None
        return None if entry is None else (parent, identity(entry.steps[int(place) - entry.first]))


def _part(entry: StepsEntry, begin: int, end: int) -> StepsEntry:
    if begin == entry.first and end == entry.first + len(entry.steps):
        return entry
    skipped = begin - entry.first
    request = dict(entry.request)
    if skipped and isinstance(request.get("seed"), int):
        request["seed"] += skipped
    return msgspec.structs.replace(
        entry,
        first=begin,
        steps=entry.steps[skipped : end - entry.first],
        request=request,
        warm_prompt=0 if skipped else entry.warm_prompt,
        warm_cached=0 if skipped else entry.warm_cached,
    )


class Paid:
    """What was paid for and decided in a run, by question.

    Args:
        questions: lines of each question, in order. A mapping that reads them from the file when asked keeps only what
            is looked at in memory.
    """

    def __init__(self, questions: Mapping[int, Iterable[Entry]]) -> None:
        self._questions = questions

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Paid:
        """Of a journal's lines, in order."""
        questions: dict[int, list[Entry]] = {}
        for entry in entries:
            if not isinstance(entry, RunEntry):
                questions.setdefault(entry.question, []).append(entry)
        return cls(questions)

    def question(self, number: int) -> PaidQuestion | None:
        """What there is of a question, or None when it never began. It is read anew by each call."""
        with without_collections():
            entries = self._questions.get(number)
            return None if entries is None else PaidQuestion(entries)

    def __iter__(self) -> Iterator[int]:
        return iter(self._questions)

    def __len__(self) -> int:
        return len(self._questions)
