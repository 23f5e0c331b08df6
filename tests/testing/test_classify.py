from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from ets_client.testing import Costs, FakeOptions, VirtualClock
from tests.testing.conftest import eventually, open_client

REWARD = FakeOptions(reward_outputs=1)


async def test_the_same_prompt_has_the_same_score_and_another_one_another() -> None:
    async with open_client(REWARD) as client:
        first, second, again = (await client.post("/classify", input_ids=[[5, 6], [5, 7], [5, 6]])).json()
        single = (await client.post("/classify", input_ids=[5, 6])).json()
    assert first["embedding"] == again["embedding"] == single["embedding"] != second["embedding"]


async def test_a_text_is_as_its_ids() -> None:
    async with open_client(REWARD) as client:
        ids = (await client.post("/tokenize", prompt="Hello")).json()["tokens"]
        text, listed = [(await client.post("/classify", text=each)).json() for each in ("Hello", ["Hello"])]
        assert [text["embedding"]] == [each["embedding"] for each in listed]
        assert (await client.post("/classify", input_ids=ids)).json()["embedding"] == text["embedding"]


async def test_prompts_share_the_cache() -> None:
    async with open_client(REWARD) as client:
        await client.post("/classify", input_ids=[[5] * 500])
        await client.post("/classify", input_ids=[[5] * 500 + [6, 7]])
        assert client.server.scheduler.counts["prefill_compute"] == 502


@pytest.mark.parametrize("version", ["0.5.14", "0.5.18", "0.5.23"])
@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/classify", {"input_ids": [[5, 2048]]}),
        ("/classify", {"input_ids": [[-1]]}),
        ("/generate", {"input_ids": [5], "sampling_params": {"max_new_tokens": 1}}),
    ],
)
async def test_a_reward_model_dies_of_what_kills_the_real_one(version: Any, path: str, fields: dict[str, Any]) -> None:
    async with open_client(FakeOptions(version=version, reward_outputs=1)) as client:
        with pytest.raises(httpx.TransportError):
            await client.post(path, **fields)
        assert client.server.died


@pytest.mark.parametrize("rid", [["a"], "a", 5])
async def test_ids_that_do_not_fit_are_500(rid: Any) -> None:
    async with open_client(REWARD) as client:
        assert (await client.post("/classify", input_ids=[[5], [6]], rid=rid)).status_code == 500
        assert (await client.post("/classify", input_ids=[5], rid=["a"])).status_code == 500
        assert (await client.post("/classify", input_ids=[5], rid="a")).json()["meta_info"]["id"] == "a"


async def test_a_prompt_that_is_stopped_in_the_queue_has_no_output() -> None:
    clock = VirtualClock()
    options = FakeOptions(reward_outputs=1, chunked_prefill_size=None, max_prefill_tokens=4)
    async with open_client(options, clock=clock, costs=Costs(step=1.0)) as client:
        asking = asyncio.create_task(client.post("/classify", input_ids=[[5, 6, 7], [8, 9, 10]], rid=["a", "b"]))
        await eventually(lambda: client.server.registered_rids == {"a", "b"})
        await clock.advance(0.5)
        await client.post("/abort_request", rid="b")
        await clock.advance(2)
        first, second = (await asking).json()
    assert len(first["embedding"]) == 1
    assert "embedding" not in second
    assert second["meta_info"]["finish_reason"]["type"] == "abort"


async def test_a_full_queue_is_503() -> None:
    async with open_client(FakeOptions(reward_outputs=1, max_queued_requests=1)) as client:
        assert (await client.post("/classify", input_ids=[[5], [6]])).status_code == 503
        assert client.server.registered_rids == frozenset()


def test_a_number_of_outputs_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="reward_outputs = -1"):
        FakeOptions(reward_outputs=-1)
