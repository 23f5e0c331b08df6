"""The course of one search: who samples, who scores, who decides, and what it has cost."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from .arguments import check_decision
from .events import WidthAllocated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from .budget import Budget, Spending
    from .events import SearchEvent
    from .growth import Growth
    from .methods import Decision, JsonValue, Method, TreeView
    from .options import SearchOptions
    from .record import Record
    from .sampler import Sampler
    from .scorers import Scorer
    from .scoring import Scoring
    from .tree import Node

__all__ = ["Course"]

# A solver takes some 10 ms at this width and 25 ms at 256, in which nothing else of the run would move; a hop to a
# thread costs 0.1 ms. Below this width a test on a virtual clock has its decisions in the clock's own thread.
_WIDTH_FOR_A_THREAD = 64
_NONE: Mapping[str, JsonValue] = MappingProxyType({})


@dataclass(frozen=True)
class Course:
    """One search on its way.

    Attributes:
        number: of the question in its run.
        method: who decides.
        scorer: who scores.
        options: of the search.
        growth: the tree.
        sampler: draws steps.
        scoring: scores them.
        record: what is known from earlier sessions, and where this one writes.
        spending: of this search; its ``whole`` is the run's.
        budget: of the whole run.
        tell: whoever watches.
    """

    number: int
    method: Method
    scorer: Scorer
    options: SearchOptions
    growth: Growth
    sampler: Sampler
    scoring: Scoring
    record: Record
    spending: Spending
    budget: Budget
    tell: Callable[[SearchEvent], None]

    def used_up(self) -> str | None:
        """Which budget is used up, or None; never before what earlier sessions decided is done again."""
        if self.record.decision(self.growth.turn) is not None:
            return None
        now, per_token = time.monotonic(), self.options.kv_bytes_per_token
        self.spending.hold(self.spending.resident, now)
        own = self.spending.used_up(self.options.budget, now, per_token)
        if own is not None or self.spending.whole is None:
            return own
        of_run = self.spending.whole.used_up(self.budget, now, per_token)
        return None if of_run is None else f"run {of_run}"

    async def decide(
        self, depth: int, ask: Callable[[], Awaitable[Decision]] | None = None, notes: Mapping[str, JsonValue] = _NONE
    ) -> list[tuple[Node, int, int]]:
        """Let the method decide a level, or take its decision from the journal.

        Args:
            depth: of the level.
            ask: gives the decision; None asks the method about the whole level.
            notes: added to the decision's.

        Returns:
            For each node that gets children: the node, the place of the first sample, and how many.
        """
        growth = self.growth
        entry = self.record.decision(growth.turn)
        if entry is None:
            decision = await (self.ask(growth.view(depth)) if ask is None else ask())
            chosen = growth.chosen(decision, self.method.name)
            entry = await self.record.decided(
                growth.turn, depth, chosen, replace(decision, notes={**decision.notes, **notes})
            )
        asked = growth.decided(entry)
        self.hold(node for node, _, _ in asked)
        if asked:
            self.tell(WidthAllocated(self.number, entry.depth, tuple(growth.tree.level(entry.depth))))
        return asked

    async def ask(self, view: TreeView) -> Decision:
        """What the method says.

        Raises:
            ConfigurationError: it says something else than a decision.
        """
        if view.width < _WIDTH_FOR_A_THREAD:
            decision: object = self.method.decide(view)
        else:
            decision = await asyncio.to_thread(self.method.decide, view)
        return check_decision(decision, self.method.name)

    def hold(self, nodes: Iterable[Node]) -> None:
        """The paths to these nodes are under way."""
        if self.options.kv_bytes_per_token is not None:
            self.spending.hold(self.growth.resident(nodes), time.monotonic())
