"""Searches of all kinds at once, cut anywhere, on a server that fails in every way: nothing may be left of them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import os
import time
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest

from ets_client import AsyncPolicyClient, PolicyClient, RetryPolicy, SamplingParams
from ets_client.testing import Costs, FakeServer
from tests.fakes import eventually
from tests.survival.chaos import Chaos, assert_idle, faults, flags, restarts, settings
from tests.survival.chaos_threads import ChaosThreads
from tests.threads.waiting import until

SEEDS = range(int(os.environ.get("ETS_CHAOS", "3")))
STEP = SamplingParams(max_new_tokens=4, ignore_eos=True)
COSTS = Costs(decode_step=0.0005, prefill_token=0.000005)
QUICK = RetryPolicy(first_wait=0.0, most_wait=0.01, least_attempt=0.5)
SECONDS = 1.5  # of a call that asks for no other time

pytestmark = pytest.mark.filterwarnings("ignore::ets_client.ReuseShortfallWarning")


@pytest.mark.parametrize("seed", SEEDS)
async def test_nothing_is_left_of_searches_that_are_cut_anywhere_on_a_server_that_fails_in_every_way(seed: int) -> None:
    random, unheard = Random(seed), list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    async with FakeServer(flags(random), costs=COSTS) as server:
        before, options = asyncio.all_tasks(), settings(random)
        async with AsyncPolicyClient(server.base_url, "tiny", retry=QUICK, timeout=SECONDS, **options) as client:
            server.faults = faults(random)
            chaos = Chaos(client, seed)
            restarting = asyncio.ensure_future(restarts(server, Random(seed))) if random.random() < 0.5 else None
            async with asyncio.timeout(60):
                await chaos.run(workers=12, calls=40)
            if restarting is not None:
                restarting.cancel()
                await asyncio.wait([restarting])
                await server.restart()
            server.faults.clear()
            await eventually(lambda: "up" in repr(server))
            await assert_idle(client)
            root = await client.prefix("healthy")
            healthy = await asyncio.gather(*(client.expand(root, 1, STEP, timeout=20) for _ in range(100)))
            assert [len(expansion) for expansion in healthy] == [1] * 100
            await eventually(lambda: client.stats.server == "up")
            await assert_idle(client)
        await eventually(lambda: server.open_connections == 0)
        await eventually(lambda: server.scheduler.is_idle and not server.registered_rids)
        await eventually(lambda: asyncio.all_tasks() == before)
        gc.collect()
    assert chaos.seen["done"] > chaos.seen["cancelled"] > 10  # neither too hard nor too easy
    assert not unheard


@pytest.mark.parametrize("seed", SEEDS)
def test_no_call_is_left_of_threads_that_cancel_and_leave_and_find_their_client_closed(seed: int) -> None:
    random, unheard = Random(seed), list[dict[str, Any]]()
    closes = seed % 3 == 2
    with FakeServer(flags(random), costs=COSTS) as server:
        options = settings(random)
        with PolicyClient(server.base_url, "tiny", retry=QUICK, timeout=SECONDS, **options) as client:
            client._loop_thread._loop.set_exception_handler(lambda _, context: unheard.append(context))
            server.faults = faults(random)
            chaos = ChaosThreads(client, seed)

            def disturb() -> None:
                for _ in range(2):
                    time.sleep(random.random() * 0.3)
                    if closes:
                        client.close()
                    elif server._thread is not None:
                        server._thread.run(server.restart())

            chaos.run(threads=12, calls=15, meanwhile=disturb)
            _, waiting = concurrent.futures.wait(chaos.futures, 30)
            assert not waiting
            if not closes:
                server.faults.clear()
                until(lambda: "up" in repr(server))
                client._loop_thread.call(assert_idle, client._client)
                root = client.prefix("healthy")
                with ThreadPoolExecutor(100) as pool:
                    expansions = pool.map(lambda _: client.expand(root, 1, STEP, timeout=20), range(100))
                    assert [len(expansion) for expansion in expansions] == [1] * 100
                client._loop_thread.call(assert_idle, client._client)
        assert not client._loop_thread._running
        assert not client._loop_thread._handed_over
        until(lambda: server.open_connections == 0 and server.scheduler.is_idle)
    gc.collect()
    assert not unheard
