"""A real server that is killed in the middle of searches and started again: what its client is told of both lives."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from ets_client import AsyncPolicyClient, FailureKind, LedgerRow, SamplingParams
from tests.live.counters import COUNTERS, counted, settled, told
from tests.schedules import Schedule

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path
    from random import Random

    from ets_client import ClientStats, Prefix

pytestmark = [pytest.mark.live, pytest.mark.filterwarnings("ignore::ets_client.ReuseShortfallWarning")]

TREES = 64
LONGEST = 8
STEP = SamplingParams(max_new_tokens=LONGEST, ignore_eos=True, stop="never, ever")
LONGEST_PROMPT = 512
CACHE = 4_096  # tokens: not enough for all that is asked
VOCABULARY = range(300, 2000)
SCHEDULES = 4  # beside the trees, for calls of all kinds; none is cut, so that only the kill costs them anything


class OwnServer:
    """A server that may be killed and started again at the same port, with the same endpoint file."""

    def __init__(self, folder: Path) -> None:
        self.endpoint = folder / "policy.json"
        self._name = f"survival-{os.getpid()}"
        self._port = "auto"
        self._pid = 0

    async def start(self) -> None:
        await self._tool(
            "up", self._name, "--profile", "tiny", "--port", self._port, "--endpoint-file", str(self.endpoint),
            "--", "--max-total-tokens", str(CACHE),
        )  # fmt: skip
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


@dataclass(frozen=True)
class Killed:
    """What was seen of a server that was killed and started again.

    Attributes:
        frontiers: where each tree ended.
        expands: of all trees.
        before: the ledger shortly before the kill.
        counted_before: the server's counters after that, and before the kill.
        first: the ledger when the server was dead and not yet started again.
        last: the ledger in the end.
        counted: the second life's counters in the end.
        stats: the client's in the end.
    """

    frontiers: list[list[Prefix]]
    expands: int
    before: LedgerRow
    counted_before: Counter[str]
    first: LedgerRow
    last: LedgerRow
    counted: Counter[str]
    stats: ClientStats


async def kill_in_the_middle(server: OwnServer) -> Killed:
    """Trees and schedules of one client, which live on through a kill and a start."""
    done = 0
    half = asyncio.Event()

    async def grow(client: AsyncPolicyClient, question: str) -> list[Prefix]:
        nonlocal done
        frontier = [await client.prefix(question)]
        for _ in range(8):
            for expansion in (expansions := await asyncio.gather(*(client.expand(each, 2, STEP) for each in frontier))):
                assert [len(branch.token_ids) for branch in expansion] == [LONGEST, LONGEST]
            done += len(expansions)
            if done > TREES * 5:
                half.set()
            frontier = [expansion[place].prefix for expansion in expansions for place in (0, 1)][:2]
        return frontier

    async def disturb(random: Random) -> None:
        await client.warm(await client.prefix(random.choices(VOCABULARY, k=random.randint(100, 400))))

    async def never(random: Random) -> None:
        raise AssertionError("nothing is cut")

    async with AsyncPolicyClient.from_endpoint(server.endpoint) as client:
        started = await settled(server.endpoint, client)  # what every start asks of itself
        trees = [asyncio.ensure_future(grow(client, f"Question {place}: how many?")) for place in range(TREES)]
        schedules = [
            asyncio.ensure_future(
                Schedule(
                    seed, workers=2, calls=40, cuts=False, vocabulary=VOCABULARY, lengths=(20, 60), longest=LONGEST
                ).run(client, disturb, never)
            )
            for seed in range(SCHEDULES)
        ]
        await half.wait()
        before = client.ledger.total
        counted_before = await asyncio.to_thread(counted, server.endpoint)
        server.kill()
        assert not all(tree.done() for tree in trees)
        assert not all(schedule.done() for schedule in schedules)
        await server.stop()  # what is left of its processes
        first = client.ledger.total
        await server.start()
        frontiers = await asyncio.wait_for(asyncio.gather(*trees), 60)
        await asyncio.wait_for(asyncio.gather(*schedules), 60)
        in_the_end = await settled(server.endpoint, client)
        for counters in (counted_before, in_the_end):
            counters.subtract(started)
        return Killed(frontiers, done, before, counted_before, first, client.ledger.total, in_the_end, client.stats)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    async def live_twice() -> Killed:
        server = OwnServer(tmp_path_factory.mktemp("live_restart"))
        await server.start()
        try:
            return await kill_in_the_middle(server)
        finally:
            await server.stop()

    return asyncio.run(live_twice())


def test_a_server_killed_in_the_middle_of_a_search_costs_no_tree(killed: Killed) -> None:
    assert [len(frontier) for frontier in killed.frontiers] == [2] * TREES
    assert killed.expands == TREES * (1 + 7 * 2)
    assert killed.stats.failures[FailureKind.DISCONNECT] > 0
    assert killed.stats.in_flight == killed.stats.waiting == 0


def test_of_the_life_after_a_kill_the_ledger_equals_the_servers_counters(killed: Killed) -> None:
    second = told(killed.last)
    second.subtract(told(killed.first))
    assert killed.counted == second
    assert second["num_requests_total"] > 0


def test_of_the_life_before_a_kill_the_ledger_lacks_what_nobody_was_told(killed: Killed) -> None:
    lost = killed.last.unanswered
    assert lost > 0
    longest = dict(zip(COUNTERS, (LONGEST_PROMPT, LONGEST_PROMPT, LONGEST, 1), strict=True))
    before, first = told(killed.before), told(killed.first)
    for name in COUNTERS:
        # It counts before it replies, and went on while it was asked.
        assert before[name] <= killed.counted_before[name] <= first[name] + lost * longest[name], name
