"""Many questions over one client, a few at a time, within a time."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._together import together
from ..errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..server_info import ServerMetrics
    from .driver import RebaseSearch, SearchResult
    from .events import SearchEvent
    from .questions import Question

__all__ = ["RunResult", "search_all"]


@dataclass(frozen=True)
class RunResult:
    """All searches of a run.

    Attributes:
        results: one a question that was started, by the question's number.
        not_started: questions for which there was no time.
        metrics: what the server counted meanwhile, or None when it has no metrics.
        seconds: of the whole run.
    """

    results: dict[int, SearchResult]
    not_started: int
    metrics: ServerMetrics | None
    seconds: float


async def search_all(
    search: RebaseSearch,
    questions: Sequence[Question],
    *,
    at_once: int = 4,
    seconds: float = math.inf,
    observe: Callable[[SearchEvent], None] = lambda event: None,  # noqa: ARG005 - nobody watches
) -> RunResult:
    """Search many questions. Cancelling it stops everything on the server.

    Args:
        search: how each is searched.
        questions: what to answer, in order.
        at_once: questions in flight.
        seconds: the time; afterwards no question and no level starts, and what runs ends with its best answer so far.
        observe: called with every event of every search, from the event loop.

    Raises:
        ConfigurationError: ``at_once`` or ``seconds`` is out of range.
        RequestError: an expand failed; the other searches are stopped.
    """
    if at_once < 1 or not seconds > 0:
        raise ConfigurationError(f"at_once = {at_once}, seconds = {seconds}: both must be above 0")
    info = await search.client.server_info()
    before = await search.client.metrics() if info.has_metrics else None
    start = time.monotonic()
    until = start + seconds
    waiting = list(enumerate(questions))[::-1]
    results: dict[int, SearchResult] = {}

    async def work() -> None:
        while waiting and _fits(time.monotonic(), until, results):
            number, question = waiting.pop()
            results[number] = await search.run(question, number, observe, until)

    await together(work() for _ in range(min(at_once, len(questions))))
    metrics = (await search.client.metrics()).since(before) if before is not None else None
    return RunResult(dict(sorted(results.items())), len(waiting), metrics, time.monotonic() - start)


def _fits(now: float, until: float, results: dict[int, SearchResult]) -> bool:
    """Whether another question would probably be done in time, judged by those that are."""
    typical = sum(result.seconds for result in results.values()) / len(results) if results else 0.0
    return now + typical <= until
