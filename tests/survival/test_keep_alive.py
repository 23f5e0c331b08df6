"""Requests sent just when the server closes idle connections."""

from __future__ import annotations

import asyncio
import os
import random

from ets_client import AsyncPolicyClient, FailureKind, RetryPolicy, SamplingParams
from ets_client.testing import FakeOptions, FakeServer
from tests.survival.conftest import FAST

REQUESTS = int(os.environ.get("ETS_RACES", "2000"))
KEEP_ALIVE = 0.05
POLICY = RetryPolicy(first_wait=0.0, most_wait=0.0)  # and as long for a try as a busy machine in debug mode may need
STEP = SamplingParams(max_new_tokens=1, ignore_eos=True, stop="never, ever")


async def test_requests_around_the_end_of_idle_connections_all_succeed() -> None:
    # The client believes in 5 s, and so expires nothing: each of its connections meets the server's end.
    chance = random.Random(5)
    async with (
        FakeServer(FakeOptions(keep_alive_seconds=KEEP_ALIVE), costs=FAST) as server,
        AsyncPolicyClient(server.base_url, "tiny", retry=POLICY) as client,
    ):
        root = await client.prefix("q")
        await client.warm(root)
        done = 0

        async def worker() -> None:
            nonlocal done
            for _ in range(REQUESTS // 50):
                expansion = await client.expand(root, 1, STEP)
                done += len(expansion)
                await asyncio.sleep(KEEP_ALIVE + chance.uniform(-0.004, 0.004))

        await asyncio.gather(*(worker() for _ in range(50)))
        assert done == REQUESTS
        assert client.stats.failures.keys() <= {FailureKind.DISCONNECT}
        assert client.stats.connections_opened > REQUESTS / 20  # most did meet it
