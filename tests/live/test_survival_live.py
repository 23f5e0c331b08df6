"""A real server whose client cancels all the time, and one that is killed in the middle of a search."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from typing import TYPE_CHECKING, Any

import pytest

from ets_client import AsyncPolicyClient, FailureKind, SamplingParams

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ets_client import Prefix

pytestmark = pytest.mark.live

CANCELS = 1_000
TREES = 64
LONG = SamplingParams(max_new_tokens=1_500, ignore_eos=True, stop="never")
STEP = SamplingParams(max_new_tokens=8, ignore_eos=True, stop="never")


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
        seconds = await seconds_until_idle(client)
        assert seconds < 2 + await seconds_of_the_server(client)
        assert client.stats.in_flight == client.stats.samples_in_flight == 0
        healthy = await asyncio.gather(*(client.expand("Healthy?", 1, STEP) for _ in range(100)))
        assert len(healthy) == 100
        assert client.stats.failures.keys() <= {FailureKind.GIVEN_UP}


class OwnServer:
    """A server that may be killed and started again at the same port, with the same endpoint file."""

    def __init__(self, folder: Path) -> None:
        self.endpoint = folder / "policy.json"
        self._name = f"survival-{os.getpid()}"
        self._port = "auto"
        self._pid = 0

    async def start(self) -> None:
        await self._tool(
            "up", self._name, "--profile", "tiny", "--port", self._port, "--endpoint-file", str(self.endpoint)
        )
        self._port = str(json.loads(self.endpoint.read_text(encoding="utf-8"))["port"])
        servers: list[dict[str, Any]] = json.loads(await self._tool("status", "--json"))
        (self._pid,) = (server["pid"] for server in servers if server["name"] == self._name)

    def kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)

    async def stop(self) -> None:
        await self._tool("down", self._name)

    @staticmethod
    async def _tool(*arguments: str) -> str:
        tool = await asyncio.create_subprocess_exec(
            os.environ["ETS_SERVER"], *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, errors = await tool.communicate()
        assert tool.returncode == 0, f"ets-server {arguments}: {errors.decode()[-2000:]}"
        return out.decode()


@pytest.fixture
async def own_server(tmp_path: Path) -> AsyncIterator[OwnServer]:
    server = OwnServer(tmp_path)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def test_a_server_killed_in_the_middle_of_a_search_costs_no_tree(own_server: OwnServer) -> None:
    done = 0
    half = asyncio.Event()

    async def grow(client: AsyncPolicyClient, question: str) -> list[Prefix]:
        nonlocal done
        frontier = [await client.prefix(question)]
        for _ in range(8):
            for expansion in (expansions := await asyncio.gather(*(client.expand(each, 2, STEP) for each in frontier))):
                assert [len(branch.token_ids) for branch in expansion] == [8, 8]
            done += len(expansions)
            if done > TREES * 5:
                half.set()
            frontier = [expansion[place].prefix for expansion in expansions for place in (0, 1)][:2]
        return frontier

    async with AsyncPolicyClient.from_endpoint(own_server.endpoint) as client:
        trees = [asyncio.ensure_future(grow(client, f"Question {place}: how many?")) for place in range(TREES)]
        await half.wait()
        own_server.kill()
        assert not all(tree.done() for tree in trees)
        await own_server.stop()  # what is left of its processes
        await own_server.start()
        frontiers = await asyncio.wait_for(asyncio.gather(*trees), 60)
        assert [len(frontier) for frontier in frontiers] == [2] * TREES
        assert done == TREES * (1 + 7 * 2)
        assert client.stats.failures[FailureKind.DISCONNECT] > 0
        assert client.stats.in_flight == client.stats.waiting == 0
