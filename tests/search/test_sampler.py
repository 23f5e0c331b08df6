"""Samples that are drawn of a fake SGLang which has no room for them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ets_client import AsyncPolicyClient
from ets_client.search.sampler import Sampler
from ets_client.search.scorers import CallableScorer
from ets_client.testing import Costs, FakeOptions, FakeServer, SeededModel
from tests.search.trees import QUESTION, by_length_soon, search


@pytest.mark.parametrize("barrier", ["level", "none"])
async def test_a_server_that_has_no_room_in_the_middle_of_a_stream_ends_no_search(
    barrier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    give, given = Sampler._give, 0

    async def count(*args: Any) -> None:
        nonlocal given
        given += 1
        await give(*args)

    monkeypatch.setattr(Sampler, "_give", count)
    full = FakeOptions(max_running_requests=2, max_queued_requests=5)
    model = SeededModel(4, line_end=0.2, text_end=0.02)
    async with (
        FakeServer(full, model=model, costs=Costs(decode_step=0.001)) as server,
        AsyncPolicyClient(server.base_url, "tiny") as client,
    ):
        options: dict[str, Any] = {"width": 4, "depth": 3, "seed": None, "barrier": barrier}
        one = search(client, scorer=CallableScorer(by_length_soon), **options)
        results = await asyncio.gather(*(one.run(QUESTION, number) for number in range(4)))
        assert [result.error for result in results] == [None] * 4
        assert given > 0
