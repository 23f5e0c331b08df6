from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ets_client.testing import Costs, FakeOptions, ScriptedModel, VirtualClock
from tests.testing.conftest import LONG, VERSIONS, Client, eventually, open_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ets_client.testing import Version


@pytest.mark.parametrize(
    ("version", "body"),
    [
        ("0.5.18", {"input_ids": [2048]}),
        ("0.5.18", {"input_ids": [-1]}),
        ("0.5.18", {"input_ids": [[]]}),
        ("0.5.18", {"input_ids": [5], "sampling_params": {"max_new_tokens": 2.5}}),
        ("0.5.18", {"input_ids": [5], "sampling_params": {"top_k": 2**31}}),
        ("0.5.23", {"input_ids": [5], "sampling_params": {"top_k": 2**31}}),
        ("0.5.18", {"input_ids": [5], "sampling_params": {"min_new_tokens": 1, "stop_token_ids": [10**6]}}),
        ("0.5.18", {"input_ids": [5], "sampling_params": {"min_new_tokens": 1, "stop_token_ids": list(range(2048))}}),
        ("0.5.18", {"input_ids": [5], "sampling_params": {"temperature": 1e308, "regex": "a"}}),
        ("0.5.18", {"input_ids": [5], "sampling_params": {"logit_bias": {"5": 1e308}}}),
        ("0.5.18", {"input_ids": [5], "sampling_params": {"logit_bias": {"5": 1e38}, "temperature": 1e-5}}),
        ("0.5.18", {"input_ids": [5], "sampling_params": {"repetition_penalty": 1e-45}}),
        ("0.5.18", {"input_ids": [5], "return_logprob": True, "top_logprobs_num": 2049}),
        ("0.5.23", {"input_ids": [5], "return_logprob": True, "top_logprobs_num": 2049}),
        ("0.5.23", {"text": ""}),
    ],
)
async def test_the_server_dies_of_what_kills_the_real_one(version: Any, body: dict[str, Any]) -> None:
    async with open_client(FakeOptions(version=version)) as client:
        with pytest.raises(httpx.TransportError):
            await client.http.post("/generate", json=body)
        assert client.server.died
        with pytest.raises(httpx.ConnectError):
            await client.get("/ping")
        await client.server.restart()
        assert (await client.get("/ping")).status_code == 200
        assert client.server.died is None
        assert client.server.scheduler.is_idle


async def test_0_5_23_survives_numbers_that_kill_0_5_18() -> None:
    async with open_client(FakeOptions(version="0.5.23")) as client:
        assert (await client.generate(repetition_penalty=1e-45, max_new_tokens=1)).status_code == 200


WISHES: dict[str, Any] = {"return_logprob": True, "token_ids_logprob": [4]}


@asynccontextmanager
async def meeting(version: Version, *, plain: dict[str, Any], wishing: dict[str, Any]) -> AsyncIterator[Client]:
    """A server that computes two prompts in one step, only the second of which comes with `token_ids_logprob`."""
    clock = VirtualClock()
    async with open_client(FakeOptions(version=version), clock=clock, costs=Costs(step=1.0)) as client:
        first = asyncio.create_task(client.generate([9], max_new_tokens=0))
        await eventually(lambda: client.server.registered_rids != frozenset())
        await clock.advance(0.5)
        tasks = [
            first,
            *(asyncio.create_task(client.generate([10], **each)) for each in (plain, {**WISHES, **wishing})),
        ]
        await eventually(lambda: len(client.server.scheduler.waiting) == 2)
        await clock.advance(5)
        yield client
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("plain", "wishing"), [(1, 1), (0, 1), (1, 0)])
async def test_prompts_with_and_without_token_ids_logprob_in_one_step_kill_the_older(
    version: Version, plain: int, wishing: int
) -> None:
    made = {"plain": {"max_new_tokens": plain}, "wishing": {"max_new_tokens": wishing}}
    async with meeting(version, **made) as client:
        died = None if version == "0.5.23" else """FatalError("'list' object has no attribute 'tolist'")"""
        assert client.server.died == died


async def test_the_two_kinds_do_not_kill_where_nothing_is_generated() -> None:
    async with meeting("0.5.18", plain={"max_new_tokens": 0}, wishing={"max_new_tokens": 0}) as client:
        assert client.server.died is None


async def test_ids_named_without_wanting_log_probabilities_do_not_kill() -> None:
    fields = {"return_logprob": False, "max_new_tokens": 1}
    async with meeting("0.5.18", plain={"max_new_tokens": 1}, wishing=fields) as client:
        assert client.server.died is None


async def test_the_two_kinds_kill_0_5_18_when_they_decode_together() -> None:
    clock = VirtualClock()
    async with open_client(clock=clock, costs=Costs(step=1.0)) as client:
        tasks: list[asyncio.Task[Any]] = []
        for ids, wishes in ((10, {}), (11, WISHES)):
            assert client.server.died is None
            tasks.append(asyncio.create_task(client.generate([ids], **wishes, **LONG)))
            await eventually(lambda: len(client.server.registered_rids) == len(tasks))
            await clock.advance(3)
        assert client.server.died is not None
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(end, httpx.TransportError) for end in ends] == [True, True]


async def test_an_error_inside_the_model_ends_the_server() -> None:
    def broken(prompt: str) -> str:
        raise LookupError(prompt)

    async with open_client(model=ScriptedModel(broken)) as client:
        with pytest.raises(httpx.TransportError):
            await client.generate(None, text="a")
        assert client.server.died == "LookupError('a')"
