"""SGLang's own ``n=``, on request."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ets_client import AsyncPolicyClient, ConfigurationError, RetryPolicy, SamplingParams, UnsupportedError
from ets_client.testing import Costs, FakeOptions, FakeServer
from tests.fakes import expanded

QUICK = RetryPolicy(attempts=2, first_wait=0, most_wait=0)


def client_of(server: FakeServer, **options: Any) -> AsyncPolicyClient:
    return AsyncPolicyClient(server.base_url, "tiny", retry=QUICK, plan="server_n", **options)


@pytest.mark.parametrize("version", ["0.5.14", "0.5.18", "0.5.23"])
async def test_an_expand_is_one_request_that_leaks_no_id(version: Any) -> None:
    async with FakeServer(FakeOptions(version=version)) as server, client_of(server) as client:
        expansion = await client.expand("A question", n=4, logprobs=True)
        assert server.count("/generate") == 1
        assert expansion.plan == "one request with n = 4: the server prefills, then samples"
        assert len({branch.rid for branch in expansion}) == 4
        assert all(branch.usage.computed_tokens == 1 for branch in expansion)  # its prefill is in no reply
        assert expansion.warm_usage.prompt_tokens == 0
        assert server.registered_rids == frozenset()


async def test_one_sample_is_asked_for_as_ever_and_can_be_aborted() -> None:
    async with FakeServer() as server, client_of(server) as client:
        expansion = await client.expand("A question", n=1)
        assert expansion.plan.startswith("one sample, which computes")
        async with client.stream(expansion.prefix) as stream:
            assert len(stream.rids) == 1


@pytest.mark.parametrize("increments", [False, True])
async def test_a_stream_gives_each_sample_under_its_place(*, increments: bool) -> None:
    options = FakeOptions(incremental_streaming_output=increments)
    async with FakeServer(options) as server, client_of(server) as client:
        async with client.expand_iter("A question", n=3) as stream:
            assert stream.rids == ()
            branches = [branch async for branch in stream]
        assert len({branch.rid for branch in branches}) == 3
        assert server.registered_rids == frozenset()


@pytest.mark.parametrize("streams", [False, True])
async def test_a_cancelled_expand_sends_no_abort_since_nobody_knows_the_ids(*, streams: bool) -> None:
    async with FakeServer(costs=Costs(decode_step=30)) as server, client_of(server) as client:
        root = await client.prefix("A question")

        before = server.open_connections
        task = asyncio.create_task(expanded(client, root, 2, streams=streams))
        async with asyncio.timeout(10):
            while not server.scheduler.running:  # noqa: ASYNC110 - the prefill, then the samples
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            while server.open_connections > before:  # noqa: ASYNC110 - the connection is closed
                await asyncio.sleep(0.01)
        assert server.count("/abort_request") == 0


async def test_seeds_of_siblings_are_refused() -> None:
    options = FakeOptions(enable_deterministic_inference=True)
    async with FakeServer(options) as server, client_of(server) as client:
        with pytest.raises(UnsupportedError, match="2 equal samples"):
            await client.expand("A question", n=2)
        assert server.count("/generate") == 0
        assert len(await client.expand("A question", n=1, sampling=SamplingParams(seed=4))) == 1


def test_a_plan_of_another_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="plan = 'many': 'batch' or 'server_n'"):
        AsyncPolicyClient(plan="many")  # type: ignore[arg-type]
