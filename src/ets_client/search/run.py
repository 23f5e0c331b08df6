"""Many questions over one client, a few at a time, within a budget."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .._together import together
from ..errors import ConfigurationError
from ..usage import Usage
from .budget import Budget, Spending
from .driver import is_final
from .events import SearchEndedBefore
from .journal import StepsEntry, usage_of
from .record import Record
from .scorers import RewardServer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..client import AsyncPolicyClient
    from ..server_info import ServerMetrics
    from .driver import SearchResult, TreeSearch
    from .events import SearchEvent
    from .journal import EndEntry, OpenRun, PaidQuestion
    from .questions import Question

__all__ = ["RunResult", "search_all"]


@dataclass(frozen=True)
class RunResult:
    """All searches of a run.

    Attributes:
        results: one a question that was searched now, by the question's number.
        not_started: questions for which there was no budget.
        metrics: what the policy server counted meanwhile, or None when it has no metrics.
        reward_metrics: the same of the reward server.
        seconds: of the whole run.
        ended_before: how questions ended that earlier sessions finished, by number.
    """

    results: Mapping[int, SearchResult]
    not_started: int
    metrics: ServerMetrics | None
    seconds: float
    reward_metrics: ServerMetrics | None = None
    ended_before: Mapping[int, EndEntry] = field(default_factory=dict[int, "EndEntry"])

    @property
    def failed(self) -> int:
        """Questions that ended with an error."""
        return sum(result.error is not None for result in self.results.values())


async def search_all(
    search: TreeSearch,
    questions: Sequence[Question],
    *,
    at_once: int = 4,
    budget: Budget | None = None,
    observe: Callable[[SearchEvent], None] = lambda event: None,  # noqa: ARG005 - nobody watches
    run: OpenRun | None = None,
) -> RunResult:
    """Search many questions. Cancelling it stops everything on the server.

    A question whose calls fail ends with ``why="error: …"`` and its answers so far, and the others go on. What every
    question would meet ends the run: a server that is gone for longer than a call waits, a wrong key. What was paid for
    is in the journal in any case; a run that goes on with it asks again only for what is not.

    Args:
        search: how each is searched.
        questions: what to answer, in order.
        at_once: questions in flight.
        budget: of the whole run; when it is used up no question and no level starts, and what runs ends with its best
            answer so far. A question that would probably not be done in time is not started. Tokens and expands of
            earlier sessions count; seconds and byte-seconds are this session's.
        observe: called with every event of every search, from the event loop.
        run: where everything is kept, and what earlier sessions paid for; :class:`RunFolder` opens it. None keeps
            nothing.

    Raises:
        ConfigurationError: ``at_once`` is out of range, or client, method and scorer do not fit together.
        RequestError: a server is gone, or wants another key; the other searches are stopped.
        JournalError: nothing can be kept any more.
    """
    if at_once < 1:
        raise ConfigurationError(f"at_once = {at_once}: above 0")
    budget, per_token = budget or Budget(), search.options.kv_bytes_per_token
    if budget.kv_byte_seconds is not None and per_token is None:
        raise ConfigurationError(
            "budget.kv_byte_seconds needs SearchOptions(kv_bytes_per_token=…), or --kv-bytes-per-token"
        )
    servers = [search.client, *([search.scorer.client] if isinstance(search.scorer, RewardServer) else [])]
    before = [await _metrics(each) for each in servers]
    whole = Spending(time.monotonic())
    began = whole.began if run is None else whole.began - _age(run)
    waiting: list[tuple[int, Question, PaidQuestion | None]] = []
    results: dict[int, SearchResult] = {}
    ended_before: dict[int, EndEntry] = {}
    for number, question in enumerate(questions):
        known = None if run is None else run.paid.question(number)
        if known is not None and known.ended is not None and is_final(known.ended.why):
            ended_before[number] = known.ended
            whole.expanded(*_paid_for(known))
            observe(SearchEndedBefore(number, question, known.ended))
        else:
            waiting.append((number, question, known))
    waiting.reverse()

    async def work() -> None:
        while waiting and _fits(budget, whole, results, per_token):
            number, question, known = waiting.pop()
            record = Record(number, None if run is None else run.journal, known, began=began)
            result = await search.run(question, number, observe=observe, record=record, spending=whole, budget=budget)
            results[number] = result if run is None else result.light()

    await together(work() for _ in range(min(at_once, len(questions))))
    counted = [
        None if old is None else (await each.metrics()).since(old) for each, old in zip(servers, before, strict=True)
    ]
    policy, reward = (*counted, None)[:2]
    seconds = time.monotonic() - whole.began
    return RunResult(dict(sorted(results.items())), len(waiting), policy, seconds, reward, ended_before)


def _paid_for(known: PaidQuestion) -> tuple[Usage, int]:
    """Tokens of a question's samples, and how many expands they were."""
    steps = [step for entry in known.entries if isinstance(entry, StepsEntry) for step in entry.steps]
    usage = sum(map(usage_of, steps), start=Usage())
    expands = sum(len(decision.children) for decision in known.decisions)
    return usage, expands + sum(step.pieces - 1 for step in steps)


async def _metrics(client: AsyncPolicyClient) -> ServerMetrics | None:
    return await client.metrics() if (await client.server_info()).has_metrics else None


def _age(run: OpenRun) -> float:
    """Seconds since the run's first session began, so that times of arrival go on where they were."""
    return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(run.manifest.machine.began)).total_seconds())


def _fits(
    budget: Budget, whole: Spending, results: Mapping[int, SearchResult], kv_bytes_per_token: float | None
) -> bool:
    """Whether another question would probably be done within the budget, judged in time by those that are."""
    typical = sum(result.seconds for result in results.values()) / len(results) if results else 0.0
    now = time.monotonic()
    if budget.seconds is not None and now + typical - whole.began > budget.seconds:
        return False
    return whole.used_up(budget, now, kv_bytes_per_token) is None
