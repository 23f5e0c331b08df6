"""SGLang's own ``n=`` on the real server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ets_client import AsyncPolicyClient, EndReason, SamplingParams

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.live
LONG = SamplingParams(max_new_tokens=400, ignore_eos=True, stop=("\x00never",))


async def running(client: AsyncPolicyClient, samples: int) -> None:
    """Wait until so many run."""
    async with asyncio.timeout(60):
        while sum(load.running_requests for load in await client.loads()) != samples:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # it is another process


async def test_n_samples_come_back_in_one_request_with_ids_of_the_servers_own(live_endpoint: Path) -> None:
    async with AsyncPolicyClient.from_endpoint(live_endpoint, plan="server_n") as client:
        root = await client.prefix(f"A question of its own, asked by {id(client)}.")
        expansion = await client.expand(root, n=4, logprobs=True)
        assert expansion.plan == "one request with n = 4: the server prefills, then samples"
        assert len({branch.rid for branch in expansion}) == 4
        assert all(branch.usage.computed_tokens == 1 for branch in expansion)  # its prefill is in no reply
        assert all(
            branch.logprobs is not None and len(branch.logprobs) == len(branch.token_ids) for branch in expansion
        )
        assert len(await client.expand(expansion[0].prefix, n=1)) == 1


async def test_a_stream_of_n_samples_gives_each_under_its_place(live_endpoint: Path) -> None:
    async with AsyncPolicyClient.from_endpoint(live_endpoint, plan="server_n") as client:
        async with client.expand_iter("Some question", n=3) as stream:
            assert stream.rids == ()
            branches = [branch async for branch in stream]
        assert len({branch.rid for branch in branches}) == 3
        assert all(branch.end is not EndReason.ABORTED for branch in branches)


async def test_samples_with_ids_of_the_servers_own_run_on_after_their_stream_was_left(live_endpoint: Path) -> None:
    async with AsyncPolicyClient.from_endpoint(live_endpoint, plan="server_n") as client:
        async with client.expand_iter("A long answer", n=2, sampling=LONG):
            await running(client, 2)  # left earlier, the server may not have sent them off, and then it never does
        assert sum(load.running_requests for load in await client.loads()) == 2
        await running(client, 0)
