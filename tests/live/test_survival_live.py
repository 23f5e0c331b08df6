"""A real server whose client cancels all the time."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from ets_client import AsyncPolicyClient, FailureKind, SamplingParams

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.live

CANCELS = 1_000
LONG = SamplingParams(max_new_tokens=1_500, ignore_eos=True, stop="never, ever")
STEP = SamplingParams(max_new_tokens=8, ignore_eos=True, stop="never, ever")


async def load(client: AsyncPolicyClient) -> int:
    """Requests that the server runs or holds in its queue."""
    return sum(worker.running_requests + worker.waiting_requests for worker in await client.loads())


async def seconds_until_idle(client: AsyncPolicyClient) -> float:
    """How long the server goes on, as it says itself."""
    start = asyncio.get_running_loop().time()
    async with asyncio.timeout(30):
        while await load(client):  # noqa: ASYNC110 - only the server knows
            await asyncio.sleep(0.05)
    return asyncio.get_running_loop().time() - start


async def seconds_of_the_server(client: AsyncPolicyClient) -> float:
    """How long one sample that surely runs is still shown after its abort.

    SGLang handles aborts between two steps and writes down what ``/v1/loads`` shows when it is idle, at a prefill, and
    every 15 steps of decoding (``load_snapshot_publish_interval``): up to a second on a busy CPU.
    """
    task = asyncio.ensure_future(client.expand("One more", 1, LONG))
    async with asyncio.timeout(30):
        while not await load(client):  # noqa: ASYNC110 - only the server knows
            await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait([task])
    return await seconds_until_idle(client)


async def test_expands_cancelled_at_random_moments_leave_nothing_running(live_endpoint: Path) -> None:
    chance = random.Random(11)
    async with AsyncPolicyClient.from_endpoint(live_endpoint, connections=32) as client:

        async def worker() -> None:
            for _ in range(CANCELS // 20):
                prompt = f"Question {chance.randrange(20)}"
                task = asyncio.ensure_future(client.expand(prompt, chance.choice([1, 2, 4]), LONG))
                await asyncio.sleep(chance.random() * chance.choice([0.001, 0.02, 0.2]))
                task.cancel()
                await asyncio.wait([task])
                assert task.cancelled()

        await asyncio.gather(*(worker() for _ in range(20)))
        # 0.2 to 1.4 s with 32 and with 256 connections, on two CPU cores that also run the server and much else: the
        # aborts of the youngest go out again after a second, and the last of them is answered before that is over.
        # What nobody stops would run for a minute.
        seconds = await seconds_until_idle(client)
        assert seconds < 5 + await seconds_of_the_server(client)
        assert client.stats.in_flight == client.stats.samples_in_flight == 0
        healthy = await asyncio.gather(*(client.expand("Healthy?", 1, STEP) for _ in range(100)))
        assert len(healthy) == 100
        assert client.stats.failures.keys() <= {FailureKind.GIVEN_UP}
