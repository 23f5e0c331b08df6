"""Many questions in a folder, over several sessions: what was done before, and what it has cost of the run's budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ets_client import AsyncPolicyClient
from ets_client.search import (
    Budget,
    Question,
    Rebase,
    RunFolder,
    RunResult,
    SearchEndedBefore,
    SearchEvent,
    SearchOptions,
    TreeSearch,
    manifest_of,
    search_all,
)
from ets_client.testing import FakeServer

if TYPE_CHECKING:
    from pathlib import Path

QUESTIONS = [Question(problem=f"{number} + 2?", answer="4") for number in range(4)]


async def session(folder: Path, budget: Budget | None = None, **more: Any) -> tuple[RunResult, int]:
    """One session of a run, and the tokens that the server generated in it."""
    async with FakeServer() as server, AsyncPolicyClient(server.base_url, "tiny") as client:
        search = TreeSearch(client, Rebase(), options=SearchOptions(width=4, depth=2))
        async with RunFolder(folder).resume(manifest_of(search, QUESTIONS)) as run:
            result = await search_all(search, QUESTIONS, at_once=1, budget=budget, run=run, **more)
        assert result.metrics is not None
        return result, result.metrics.generated_tokens


async def test_questions_that_were_done_before_are_told_and_never_called_not_started(tmp_path: Path) -> None:
    first, _ = await session(tmp_path)
    assert (len(first.results), first.ended_before) == (4, {})
    told: list[SearchEvent] = []
    again, generated = await session(tmp_path, Budget(seconds=1e-9), observe=told.append)
    assert (again.results, again.not_started, generated) == ({}, 0, 0)
    assert list(again.ended_before) == [0, 1, 2, 3]
    assert told == [SearchEndedBefore(number, QUESTIONS[number], ended) for number, ended in again.ended_before.items()]
    assert {number: ended.answer for number, ended in again.ended_before.items()} == {
        number: result.answer for number, result in first.results.items()
    }


@pytest.mark.parametrize("limit", ["tokens", "expands"])
async def test_what_earlier_sessions_paid_for_counts_in_the_budget_of_the_run(tmp_path: Path, limit: str) -> None:
    whole, _ = await session(tmp_path / "whole")
    cost = [
        result.usage.completion_tokens if limit == "tokens" else result.expands for result in whole.results.values()
    ]
    budget = Budget(**{limit: sum(cost[:2])})
    first, _ = await session(tmp_path / "run", budget)
    assert [result.why for result in first.results.values() if result.is_complete]
    assert first.not_started
    again, generated = await session(tmp_path / "run", budget)
    assert generated == 0  # a question that was under way may be done again from the journal, and ends where it was
    assert {result.why for result in again.results.values()} <= {f"run {limit}"}
    assert len(again.ended_before) + len(again.results) + again.not_started == 4
    more, generated = await session(tmp_path / "run", Budget(**{limit: 2 * sum(cost)}))
    assert more.not_started == 0
    assert generated > 0
