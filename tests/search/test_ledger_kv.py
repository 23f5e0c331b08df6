"""ETS's KV figure: the ledger's of the calls is what the decisions of a search by levels note."""

from __future__ import annotations

from typing import Any, cast

import pytest

from ets_client import AsyncPolicyClient
from ets_client.search import Beam, Ets, Question, Rebase, SearchOptions, TreeSearch
from ets_client.search.journal import DecisionEntry
from ets_client.search.record import Record
from ets_client.testing import FakeOptions, FakeServer, SeededModel
from tests.search.trees import MemoryJournal

SEEDED = FakeOptions(enable_deterministic_inference=True, schedule_policy="lpm")
QUESTION = Question(problem="How many are 5 and 7?")


@pytest.mark.parametrize("method", [Rebase(), Beam(), Ets()], ids=["rebase", "beam", "ets"])
@pytest.mark.parametrize("seed", range(3))
async def test_the_ledger_has_the_figure_that_the_decisions_note(method: Any, seed: int) -> None:
    async with (
        FakeServer(SEEDED, model=SeededModel(seed, line_end=0.2, text_end=0.02)) as server,
        AsyncPolicyClient(server.base_url, "tiny") as client,
    ):
        journal = MemoryJournal()
        options = SearchOptions(width=8, depth=4, seed=11)
        await TreeSearch(client, method, None, options).run(QUESTION, record=Record(0, journal))
        (row,) = client.ledger.trees
    decided = [entry for entry in journal.entries if isinstance(entry, DecisionEntry) and entry.children]
    assert len(decided) > 1
    assert row.published_kv == sum(cast("dict[str, int]", entry.notes["kv"])["published"] for entry in decided)
