"""One search's part of the journal: what was paid for is taken from it, everything new goes there before it is used."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..usage import Usage
from .arrivals import Arrival
from .journal import (
    AFTER,
    MISSING,
    DecisionEntry,
    EndEntry,
    Missing,
    QuestionEntry,
    ScoresEntry,
    StepsEntry,
    as_recorded,
    branch_of,
    root_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Protocol

    from ..prefix import Origin, Prefix
    from .journal import Entry, PaidQuestion
    from .methods import Decision
    from .questions import Question
    from .tree import Node

    class Writer(Protocol):
        """Who keeps the lines; :class:`~ets_client.search.journal.Journal` does."""

        async def append(self, entry: Entry) -> None:
            """Return when the line is kept."""
            ...


__all__ = ["Record"]


class Record:
    """What is known of a search from earlier sessions, and where this one writes."""

    def __init__(
        self, number: int, writer: Writer | None = None, paid: PaidQuestion | None = None, *, began: float | None = None
    ) -> None:
        """Begin.

        Args:
            number: of the question in its run.
            writer: who keeps the lines; None for nobody.
            paid: what was paid for in earlier sessions.
            began: when the run did, on the clock of :func:`time.monotonic`; earlier sessions count.
        """
        self._number = number
        self._writer = writer
        self._paid = paid
        self._began = time.monotonic() if began is None else began

    @property
    def earlier_seconds(self) -> float:
        """How long earlier sessions took."""
        return 0.0 if self._paid is None else self._paid.seconds

    async def begin(self, question: Question, root: Prefix, seed: int | None) -> None:
        """The search begins, unless it did in an earlier session."""
        if self._paid is None or self._paid.root is None:
            await self._append(
                QuestionEntry(self._number, question.problem, root.token_ids, root.text, question.answer, seed)
            )

    def root(self, origin: Origin) -> Prefix | None:
        """The prompt that the search began with, or None when it begins now."""
        return None if self._paid is None or self._paid.root is None else root_of(self._paid.root, origin)

    def decision(self, turn: int) -> DecisionEntry | None:
        """What was decided in an earlier session."""
        return None if self._paid is None else self._paid.decision(turn)

    def after(self, turn: int) -> str | None:
        """Ids of the samples that a recorded decision followed, where decisions do not wait for a level."""
        entry = None if self._paid is None else self._paid.decision(turn)
        after = None if entry is None else entry.notes.get(AFTER)
        return after if isinstance(after, str) else None

    async def decided(
        self, turn: int, depth: int, children: Sequence[tuple[Node, int]], made: Decision
    ) -> DecisionEntry:
        """The method has decided; what is returned is what a later session will read."""
        named = [(node.id, count) for node, count in children]
        entry = DecisionEntry(self._number, turn, depth, named, dict(made.memory), dict(made.notes))
        await self._append(entry)
        return as_recorded(entry)

    def steps(self, parent: Node, first: int, n: int) -> tuple[list[Arrival], Usage]:
        """Samples of a node that were paid for in earlier sessions, and what warming the prefix cost then."""
        arrivals: list[Arrival] = []
        warm = Usage()
        for entry in [] if self._paid is None else self._paid.steps(parent.id, first, n):
            warm += Usage(entry.warm_prompt, entry.warm_cached)
            for place, step in enumerate(entry.steps, start=entry.first):
                branch = branch_of(step, parent.prefix) if step.failed is None else None
                arrivals.append(Arrival(parent, place, step, branch))
        return arrivals, warm

    async def sampled(
        self, arrivals: Sequence[Arrival], request: Mapping[str, Any], seconds: float, warm: Usage
    ) -> None:
        """Samples of one request have arrived.

        Args:
            arrivals: siblings, whose places follow each other.
            request: what was asked; a seed in it is the first sample's.
            seconds: from the call to the reply.
            warm: tokens of the request that warmed the prefix.
        """
        at, steps = time.monotonic() - self._began, [arrival.step for arrival in arrivals]
        await self._append(
            StepsEntry(
                self._number, arrivals[0].parent.id, arrivals[0].place, steps, dict(request), seconds, at,
                warm_prompt=warm.prompt_tokens, warm_cached=warm.cached_tokens,
            )
        )  # fmt: skip

    def score(self, node: str) -> float | Missing | None:
        """A score of an earlier session, None when the node has none, ``MISSING`` when nothing is known."""
        return MISSING if self._paid is None else self._paid.scores(node)

    def is_settled(self, arrival: Arrival) -> bool:
        """Whether nothing is left to pay for an arrival of an earlier session: it was scored, or is no step."""
        return arrival.branch is None or not isinstance(self.score(arrival.id), Missing)

    def score_failure(self, node: str) -> str:
        """Why an earlier session had no score for a node."""
        return "" if self._paid is None else self._paid.reason(node)

    async def scored(self, arrivals: Sequence[Arrival], usage: Usage) -> None:
        """Paths were scored."""
        reasons = {
            place: arrival.score_failure or "" for place, arrival in enumerate(arrivals) if arrival.score is None
        }
        ids, values = [arrival.id for arrival in arrivals], [arrival.score for arrival in arrivals]
        await self._append(
            ScoresEntry(self._number, ids, values, reasons, prompt=usage.prompt_tokens, cached=usage.cached_tokens)
        )

    async def ended(self, answer: str | None, why: str, seconds: float) -> None:
        """The search is over, for good or until the run is resumed."""
        await self._append(EndEntry(self._number, answer, why, seconds))

    async def _append(self, entry: Entry) -> None:
        if self._writer is not None:
            await self._writer.append(entry)
