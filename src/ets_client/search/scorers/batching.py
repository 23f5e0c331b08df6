"""Many searches score through one queue, so that what is ready at the same time travels together."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .scorer import Scorer, outcomes_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...scores import ScoreFailure
    from .scorer import PathScore, ScoredPath

    Outcomes = Sequence[PathScore | ScoreFailure]

__all__ = ["MicroBatcher"]


@dataclass(slots=True, eq=False)
class _Call:
    paths: Sequence[ScoredPath]
    outcomes: asyncio.Future[Outcomes]
    batch: _Batch | None = None  # None while it waits


@dataclass(slots=True, eq=False)
class _Batch:
    calls: Sequence[_Call]
    task: asyncio.Task[None]


class MicroBatcher(Scorer):
    """Puts calls together that come in one turn of the loop, or while earlier batches are under way.

    When a batch fails, its calls are tried one by one, so that one search's trouble is its own. A batch that nobody
    waits for any more is cancelled.

    Args:
        scorer: who scores.
        most: paths of a batch; a call is never divided.
        under_way: batches at the same time.
    """

    def __init__(self, scorer: Scorer, *, most: int = 64, under_way: int = 2) -> None:
        self.scorer = scorer
        self._most = most
        self._under_way = under_way
        self._waiting = deque[_Call]()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_planned = False

    @property
    def name(self) -> str:
        """The scorer's."""
        return self.scorer.name

    async def score(self, paths: Sequence[ScoredPath]) -> Outcomes:
        """See :meth:`Scorer.score`."""
        loop = asyncio.get_running_loop()
        call = _Call(paths, loop.create_future())
        self._waiting.append(call)
        if not self._is_planned:
            self._is_planned = True
            loop.call_soon(self._begin)
        try:
            return await call.outcomes
        except asyncio.CancelledError:
            if call.batch is not None and all(each.outcomes.cancelled() for each in call.batch.calls):
                call.batch.task.cancel()
            raise

    def weight(self, step_scores: Sequence[float]) -> float:
        """The scorer's."""
        return self.scorer.weight(step_scores)

    def _begin(self) -> None:
        self._is_planned = False
        while self._waiting and len(self._tasks) < self._under_way:
            calls = self._take()
            if calls:
                task = asyncio.get_running_loop().create_task(self._run(calls))
                self._tasks.add(task)
                task.add_done_callback(self._ended)
                batch = _Batch(calls, task)
                for call in calls:
                    call.batch = batch

    def _take(self) -> list[_Call]:
        batch: list[_Call] = []
        size = 0
        while self._waiting and (not batch or size + len(self._waiting[0].paths) <= self._most):
            call = self._waiting.popleft()
            if not call.outcomes.done():  # its search was cancelled
                batch.append(call)
                size += len(call.paths)
        return batch

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._begin()

    async def _run(self, batch: list[_Call]) -> None:
        try:
            outcomes = await outcomes_of(self.scorer, [path for call in batch for path in call.paths])
        except Exception as error:  # noqa: BLE001 - whatever it is, it is its callers'
            if len(batch) == 1:
                _settle(batch[0], error)
                return
            for call in batch:
                if not call.outcomes.done():
                    await self._run([call])
            return
        begin = 0
        for call in batch:
            _settle(call, outcomes[begin : begin + len(call.paths)])
            begin += len(call.paths)


def _settle(call: _Call, found: Outcomes | Exception) -> None:
    if call.outcomes.done():
        return
    if isinstance(found, Exception):
        call.outcomes.set_exception(found)
    else:
        call.outcomes.set_result(found)
