from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from ets_client import (
    AsyncPolicyClient,
    ConfigurationError,
    DeadlineExceededError,
    PolicyClient,
    PrunedError,
    SamplingParams,
)
from ets_client.testing import Costs, FaultPlan, Reset
from tests.fakes import Clock, eventually
from tests.stream_site import ENDLESS, Site, site
from tests.threads.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ets_client import Branch, BranchStream, Expansion, Prefix
    from ets_client.pytest_plugin import FakeServerFactory

SHORT = SamplingParams(max_new_tokens=2, ignore_eos=True, stop="never, ever")
INTERVAL = 6.0  # two of them are no reason yet to take a reply for lost (RetryPolicy.least_attempt)


@pytest.fixture(autouse=True)
def dear_prefill_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """So dear that the interval decides, and not how long the machine takes to make an expand ready."""
    monkeypatch.setattr("ets_client._core.departures._PREFILL_STEP", 1000.0)


class Busy:
    """A client that keeps 32 samples in flight on a server whose time stands still, and paths that are warm there."""

    def __init__(self, here: Site, paths: list[Prefix]) -> None:
        self.here = here
        self.client = here.client
        self.paths = paths
        self.clock = Clock()

    @property
    def posts(self) -> int:
        return self.here.server.count("/generate")

    def expand(self, path: int, n: int = 1, timeout: float | None = None) -> asyncio.Task[Expansion]:
        return asyncio.ensure_future(self.client.expand(self.paths[path], n, SHORT, timeout=timeout))

    async def waits(self, count: int) -> None:
        await eventually(lambda: self.client.stats.waiting_for_departure == count)

    async def depart(self, waiting: int) -> None:
        await self.clock.jump(INTERVAL, when=lambda: self.client.stats.waiting_for_departure == waiting)


@asynccontextmanager
async def busy(*, admission: int | None = None, faults: FaultPlan | None = None) -> AsyncIterator[Busy]:
    async with site(faults, admission=admission, departure_interval=INTERVAL) as here:
        paths = [await here.client.prefix(f"question {name} " * 3) for name in ("one", "two", "three", "four")]
        for path in paths:
            await here.clock.run(here.client.warm(path))
        running = asyncio.ensure_future(here.client.expand(paths[0], 32, ENDLESS))
        await eventually(lambda: len(here.server.scheduler.active) == 32)  # the first of an idle client does not wait
        await here.clock.advance(0.25)
        try:
            yield Busy(here, paths)
        finally:
            running.cancel()
            await asyncio.wait([running])
            await here.clock.advance(1)


async def all_of(stream: BranchStream) -> list[Branch]:
    async with stream:
        return [branch async for branch in stream]


async def test_expands_that_become_ready_within_the_interval_arrive_together_and_share_a_prefill_step() -> None:
    async with busy() as at:
        sent, scheduler = at.posts, at.here.server.scheduler
        first = at.expand(2)
        await at.waits(1)
        second = asyncio.ensure_future(at.client.generate(at.paths[3], SHORT))
        await at.waits(2)
        third = asyncio.ensure_future(all_of(at.client.expand_iter(at.paths[1], 2, SHORT)))
        await at.waits(3)
        assert (at.posts, scheduler.waiting) == (sent, [])
        await at.depart(3)
        await eventually(lambda: len(scheduler.waiting) == 4)
        expected = [list(at.paths[place].token_ids) for place in (2, 3, 1, 1)]
        assert [job.prompt for job in scheduler.waiting] == expected  # in the order in which they became ready
        await at.here.clock.advance(0.5)
        assert (scheduler.waiting, len(scheduler.running)) == ([], 36)
        assert len(await at.here.clock.run(first)) == 1
        assert (await at.here.clock.run(second)).token_ids
        assert len(await at.here.clock.run(third)) == 2
        assert at.client.stats.waiting_for_departure == 0


async def test_after_a_quiet_interval_an_expand_does_not_wait() -> None:
    async with busy() as at:
        await at.clock.jump(INTERVAL, when=lambda: True)
        assert len(await at.here.clock.run(at.expand(1))) == 1


async def test_a_level_that_is_ready_at_once_leaves_at_once() -> None:
    async with site(departure_interval=INTERVAL) as here:
        path = await here.client.prefix("one")
        await here.client.warm(path)
        for _ in range(3):  # each at once after the one before
            level = asyncio.gather(*(here.client.expand(path, 2, SHORT) for _ in range(8)))
            assert [len(expansion) for expansion in await here.clock.run(level)] == [2] * 8


async def test_the_others_of_a_cold_root_do_not_wait_when_nothing_else_runs_and_do_when_much_does() -> None:
    async with site(departure_interval=INTERVAL) as here:
        root = await here.client.prefix("a cold root " * 4)
        expansion = await here.clock.run(here.client.expand(root, 4, SHORT))
        assert len(expansion) == 4
        assert expansion.plan.startswith("the first sample computes")
    async with busy() as at:
        await at.clock.jump(INTERVAL, when=lambda: True)
        root = await at.client.prefix("a cold root " * 4)
        expand = asyncio.ensure_future(at.client.expand(root, 4, SHORT))
        before = at.posts
        await eventually(lambda: at.posts == before + 1)  # the leader
        await at.here.clock.advance(1)
        await at.waits(1)
        assert at.posts == before + 1
        await at.depart(1)
        expansion = await at.here.clock.run(expand)
        assert [branch.usage.cached_tokens for branch in expansion][1:] == [len(root) - 1] * 3


async def test_of_those_that_leave_together_on_a_cold_path_one_computes_it() -> None:
    async with busy() as at:
        root = await at.client.prefix("a cold root " * 4)
        expands = [asyncio.ensure_future(at.client.expand(root, 1, SHORT)) for _ in range(3)]
        streams = [asyncio.ensure_future(all_of(at.client.expand_iter(root, 2, SHORT))) for _ in range(2)]
        before, computed = at.posts, at.here.server.scheduler.counts["prefill_compute"]
        await at.depart(5)
        await eventually(lambda: at.posts == before + 1)
        await at.here.clock.advance(1)
        await at.depart(4)
        assert [len(each) for each in await at.here.clock.run(asyncio.gather(*expands))] == [1] * 3
        assert [len(each) for each in await at.here.clock.run(asyncio.gather(*streams))] == [2] * 2
        assert at.here.server.scheduler.counts["prefill_compute"] == computed + len(root) + 6


async def test_what_prefills_alone_and_what_asks_about_the_server_never_wait() -> None:
    async with busy() as at:
        root = await at.client.prefix("a cold root " * 4)
        calls = [
            at.client.warm(root),
            at.client.label_probs([at.paths[1]], [43, 45]),
            at.client.tokenize("text"),
            at.client.health(),
            at.client.abort("nobody"),
        ]
        await at.here.clock.run(asyncio.gather(*calls))
        assert at.client.stats.waiting_for_departure == 0


async def test_a_resend_does_not_wait() -> None:
    async with busy(faults=FaultPlan().on(Reset(), nth=6)) as at:  # four warm a path, one keeps the server busy
        await at.clock.jump(INTERVAL, when=lambda: True)
        assert len(await at.here.clock.run(at.expand(1, 2))) == 2
        assert at.client.stats.resends == 1


async def test_cancelling_one_that_waits_sends_nothing_and_gives_its_turn_back() -> None:
    async with busy(admission=33) as at:
        sent = at.posts
        waiting = at.expand(0)
        await at.waits(1)
        behind = at.expand(0)
        await eventually(lambda: at.client.stats.waiting_for_turn == 1)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        await eventually(lambda: at.client.stats.waiting_for_turn == 0)
        await at.depart(1)
        assert len(await at.here.clock.run(behind)) == 1
        assert (at.posts, at.here.aborts) == (sent + 1, 0)


async def test_a_path_that_is_pruned_while_its_expand_waits_ends_it() -> None:
    async with busy() as at:
        sent, waiting = at.posts, at.expand(1)
        await at.waits(1)
        await at.client.prune(at.paths[1])
        with pytest.raises(PrunedError):
            await waiting
        assert (at.posts, at.client.stats.waiting_for_departure) == (sent, 0)


async def test_a_wait_counts_within_the_time_of_the_call() -> None:
    async with busy() as at:
        sent, waiting = at.posts, at.expand(1, timeout=INTERVAL / 2)
        await at.clock.jump(INTERVAL / 2, when=lambda: at.client.stats.waiting_for_departure == 1)
        with pytest.raises(DeadlineExceededError, match="no departure came within 3 s"):
            await waiting
        assert at.posts == sent


async def test_closing_the_client_ends_the_wait() -> None:
    async with busy() as at:
        sent, waiting = at.posts, at.expand(1)
        await at.waits(1)
        await at.client.aclose()
        with pytest.raises(ConfigurationError, match="closed before this call left"):
            await waiting
        assert at.posts == sent


def test_calls_of_threads_wait_likewise(fake_sglang_factory: FakeServerFactory) -> None:
    slow = fake_sglang_factory(costs=Costs(decode_step=0.05))
    with PolicyClient(slow.base_url, "tiny", departure_interval=INTERVAL) as client:
        root = client.root("How many?")
        client.warm(root)
        client.submit_expand(root, 16, ENDLESS)
        until(lambda: len(slow.scheduler.running) == 16)
        sent = slow.count("/generate")
        cancelled, closed = client.submit_expand(root, 1, SHORT), client.submit_expand(root, 1, SHORT)
        until(lambda: client.stats.waiting_for_departure == 2)
        cancelled.cancel()
        until(lambda: client.stats.waiting_for_departure == 1)
        with pytest.raises(CancelledError):
            cancelled.result()
    with pytest.raises(ConfigurationError, match="closed"):
        closed.result()
    assert slow.count("/generate") == sent


def test_expands_of_threads_that_wait_come_back(fake_sglang_factory: FakeServerFactory) -> None:
    server = fake_sglang_factory(costs=Costs(decode_step=0.001))
    with PolicyClient(server.base_url, "tiny", departure_interval=0.01) as client:
        root = client.root("How many?")
        futures = [client.submit_expand(root, 2, SHORT) for _ in range(32)]
        assert [len(future.result()) for future in futures] == [2] * 32
        assert client.stats.waiting_for_departure == 0


@pytest.mark.parametrize("interval", [0, -0.1, True, "0.05", float("nan"), 48, float("inf")])
def test_an_interval_that_nobody_can_mean_is_refused(interval: object) -> None:
    with pytest.raises(ConfigurationError, match=r"departure_interval = .*seconds above 0"):
        AsyncPolicyClient(departure_interval=interval)  # type: ignore[arg-type]
