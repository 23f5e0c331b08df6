"""After any search, however it was disturbed, the ledger equals the counters of the server."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import pytest

from ets_client import AsyncPolicyClient, RetryPolicy
from ets_client.testing import Costs, FakeOptions, FakeServer, VirtualClock
from tests.schedules import Schedule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ets_client import LedgerRow, Prefix
    from ets_client._core.ledger_tree import TreeAccount
    from ets_client._wire.generate import WireSample
    from ets_client.testing.job import Job
    from ets_client.testing.scheduler import Scheduler

QUICK = RetryPolicy(first_wait=0, most_wait=0)
COSTS = Costs(decode_step=0.0002, prefill_token=0.000002)
SCHEDULES = 200
BLOCK = 20


class Truth:
    """What a server did, by its own counters, restarts included; and what each sample of it was."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self.ended: list[Job] = []
        self.counts: dict[str, int] = {}
        self._restarting = asyncio.Lock()
        self._follow(server.scheduler)

    def _follow(self, scheduler: Scheduler) -> None:
        end = scheduler._end

        def ends(job: Job, *args: object) -> None:
            end(job, *args)  # type: ignore[arg-type]
            self.ended.append(job)

        scheduler._end = ends  # type: ignore[method-assign, assignment]

    def add(self) -> None:
        """Take the counters over before they are lost, or at the end."""
        for name, value in self.server.scheduler.counts.items():
            self.counts[name] = self.counts.get(name, 0) + value

    async def restart(self) -> None:
        async with self._restarting:
            self.add()
            await self.server.restart()
            self._follow(self.server.scheduler)


def options(random: Random, *, cuts: bool) -> FakeOptions:
    return FakeOptions(
        version=random.choice(["0.5.14", "0.5.18", "0.5.23"]),
        max_total_tokens=random.choice([512, 1024, 4096]),
        context_length=512,
        max_running_requests=random.choice([4, 64]),
        # A batch that finds room for some of its samples alone is refused, and what found room runs on, unread.
        max_queued_requests=random.choice([None, 8]) if cuts else None,
        page_size=random.choice([1, 1, 4]),
    )


def follow_replies(client: AsyncPolicyClient) -> set[str]:
    """Request ids of all samples whose reply comes from now on."""
    books, answered = client._books, set[str]()
    write_down = books.answer

    def answer(
        account: TreeAccount | None, prefix: Prefix, predicted: int, replies: Sequence[WireSample], **rest: bool
    ) -> None:
        for reply in replies:
            assert reply.meta_info.id not in answered
            answered.add(reply.meta_info.id)
        write_down(account, prefix, predicted, replies, **rest)

    books.answer = answer  # type: ignore[method-assign]
    return answered


async def run(seed: int) -> LedgerRow:
    """One schedule; a third of them are neither cut nor restarted."""
    random, cuts = Random(seed), seed % 3 > 0
    clock = VirtualClock()
    async with FakeServer(options(random, cuts=cuts), costs=COSTS, clock=clock) as server:
        truth = Truth(server)

        async def disturb(random: Random) -> None:
            if cuts and random.random() < 0.2:
                await truth.restart()
            else:
                server.scheduler.tree.evict(random.randrange(400))

        async def pause(random: Random) -> None:
            for _ in range(random.randrange(80)):
                await asyncio.sleep(0)

        admission = random.choice([None, 8])
        async with AsyncPolicyClient(server.base_url, "tiny", retry=QUICK, admission=admission) as client:
            answered = follow_replies(client)
            longest = random.choice([12, 150])
            heard = await clock.run(Schedule(seed, cuts=cuts, longest=longest).run(client, disturb, pause))
        await clock.advance(60)
        assert (server.open_connections, server.scheduler.is_idle) == (0, True)
        truth.add()
    row, counts = client.ledger.total, truth.counts
    told = [job for job in truth.ended if job.rid in answered]
    untold = [job for job in truth.ended if job.rid not in answered]
    assert {branch.rid for branch in heard.branches} <= answered
    # The server's counters are the ledger and what nobody was told of.
    assert counts["prompt"] == row.asked + sum(len(job.prompt) for job in untold)
    assert counts["cached"] == row.reused + sum(job.cached or 0 for job in untold)
    assert counts["generated"] == row.generated + sum(len(job.output) for job in untold)
    assert row.retractions == sum(job.retractions for job in told)
    assert row.samples + row.prefills == len(answered)
    assert len(untold) <= row.unanswered
    if not cuts:
        assert (heard.errors, row.unanswered, untold) == (0, 0, [])
        assert (counts["prompt"], counts["cached"], counts["generated"]) == (row.asked, row.reused, row.generated)
        if not row.retractions and server.options.page_size == 1:
            assert counts["prefill_compute"] == row.computed
    return row


@pytest.mark.filterwarnings("ignore::ets_client.ReuseShortfallWarning")
@pytest.mark.parametrize("block", range(0, SCHEDULES, BLOCK))
async def test_the_ledger_equals_the_servers_counters(block: int) -> None:
    rows = [await run(seed) for seed in range(block, block + BLOCK)]
    # It was not too easy: samples were lost, and what was forgotten was computed again.
    assert sum(row.unanswered for row in rows) > 0
    assert sum(row.computed for row in rows) > sum(row.least for row in rows)
