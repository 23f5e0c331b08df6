"""What the server really computes, by the counters of the fake server's own scheduler and cache."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from ets_client import AsyncPolicyClient, Branch, Expansion, RetryPolicy, ReuseShortfallWarning, SamplingParams
from ets_client.testing import Answer, Costs, FakeOptions, FakeServer, FaultPlan, QueueFull, Reset, ServerError
from tests.fakes import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from ets_client import Prefix
    from ets_client.testing import Fault

QUICK = RetryPolicy(first_wait=0, most_wait=0)
STEP = SamplingParams(max_new_tokens=8, ignore_eos=True, stop="never, ever")
EXAMPLES = "Here is how such a question is answered, step by step, with all that matters. " * 8
COSTS = Costs(decode_step=0.001, prefill_token=0.00002)


@asynccontextmanager
async def site(faults: FaultPlan | None = None, **options: Any) -> AsyncIterator[tuple[FakeServer, AsyncPolicyClient]]:
    async with FakeServer(FakeOptions(**options), faults=faults, costs=COSTS) as server:
        async with AsyncPolicyClient(server.base_url, "tiny", retry=QUICK) as client:
            yield server, client
        await eventually(lambda: server.open_connections == 0 and server.scheduler.is_idle)


def least(samples: Iterable[tuple[Prefix, int]], branches: Iterable[Branch] = ()) -> int:
    """The fewest prompt tokens for so many samples of each prefix.

    The last token of a prompt is computed by each of its samples, each other token once, unless it was generated.
    """
    asked = [(tuple(prefix.token_ids), count) for prefix, count in samples]
    known = {ids for ids, _ in asked}
    for branch in branches:
        ids = tuple(branch.prefix.token_ids)
        known |= {ids[:end] for end in range(len(ids) - len(branch.token_ids) + 1, len(ids))}
    inner = {ids[:end] for ids, _ in asked for end in range(1, len(ids))}
    return sum(count for _, count in asked) + len(inner - known)


def prefilled(server: FakeServer) -> int:
    return server.scheduler.counts["prefill_compute"]


async def test_a_cold_expand_computes_its_prefix_once() -> None:
    async with site() as (server, client):
        root = await client.prefix(EXAMPLES)
        expansion = await client.expand(root, 8, STEP)
        assert prefilled(server) == least([(root, 8)]) == len(root) + 7
        assert server.count("/generate") == 2
        assert expansion.usage.computed_tokens == prefilled(server)
        assert [branch.predicted_cached_tokens for branch in expansion] == [0] + [len(root) - 1] * 7
        assert client.stats.reuse_shortfall == 0


@pytest.mark.parametrize("n", [1, 2, 8])
async def test_concurrent_cold_expands_of_one_root_compute_it_once(n: int) -> None:
    async with site() as (server, client):
        root = await client.prefix(EXAMPLES)
        await asyncio.gather(*(client.expand(root, n, STEP) for _ in range(8)))
        assert prefilled(server) == least([(root, 8 * n)])
        assert client.stats.predicted_reuse == server.scheduler.counts["prefill_cache"]


@pytest.mark.parametrize("page_size", [1, 16])
async def test_roots_that_share_worked_examples_compute_those_once(page_size: int) -> None:
    async with site(page_size=page_size) as (server, client):
        roots = [await client.prefix(f"{EXAMPLES}And now number {place}, which is another one.") for place in range(8)]
        await asyncio.gather(*(client.expand(root, 4, STEP) for root in roots))
        if page_size == 1:
            assert prefilled(server) == least([(root, 4) for root in roots])
        assert client.stats.predicted_reuse == server.scheduler.counts["prefill_cache"]


async def test_all_kinds_of_calls_share_one_computation() -> None:
    async with site() as (server, client):
        root = await client.prefix(EXAMPLES)

        async def stream() -> None:
            async with client.stream(root, STEP) as text:
                async for _ in text:
                    pass

        async def iterate() -> None:
            async for _ in client.expand_iter(root, 3, STEP):
                pass

        await asyncio.gather(stream(), client.warm(root), iterate(), client.generate(root, STEP), stream())
        assert prefilled(server) == least([(root, 6)])


async def test_a_tree_is_computed_at_the_least_and_as_predicted() -> None:
    async with site() as (server, client):
        asked: list[tuple[Prefix, int]] = []
        branches: list[Branch] = []

        async def expand(prefix: Prefix, n: int) -> Expansion:
            asked.append((prefix, n))
            expansion = await client.expand(prefix, n, STEP)
            branches.extend(expansion)
            return expansion

        async def grow(question: str) -> None:
            level = [await client.prefix(EXAMPLES + question)]
            for n in (8, 4, 4):
                expansions = await asyncio.gather(*(expand(prefix, n) for prefix in level))
                level = [branch.prefix for expansion in expansions for branch in expansion][:4]

        await asyncio.gather(*(grow(f"Question {place}?") for place in range(6)))
        assert prefilled(server) == least(asked, branches)
        assert client.stats.predicted_reuse == server.scheduler.counts["prefill_cache"]
        assert client.stats.reuse_shortfall == 0


async def test_a_server_without_a_cache_is_sent_plain_batches() -> None:
    async with site(disable_radix_cache=True) as (server, client):
        root = await client.prefix(EXAMPLES)
        plans = [(await client.expand(root, 4, STEP)).plan for _ in range(2)]
        assert plans == ["one batch of 4: the prefix is warm"] * 2
        assert server.count("/generate") == 2


@pytest.mark.parametrize(
    "fault", [QueueFull(), Reset(), Reset(after=0), Reset(after=300), Answer(500, b'{"message": "x"}')]
)
@pytest.mark.parametrize("nth", [1, 2])
async def test_when_a_request_fails_once_all_get_their_samples_and_little_is_computed_again(
    fault: Fault, nth: int
) -> None:
    async with site(FaultPlan().on(fault, nth=nth)) as (server, client):
        root = await client.prefix(EXAMPLES)
        expansions = await asyncio.gather(*(client.expand(root, 4, STEP) for _ in range(4)))
        assert [len(expansion) for expansion in expansions] == [4] * 4
        # A try that was carried out before its reply broke computed the prefix, too.
        assert prefilled(server) <= least([(root, 16)]) + len(root) + 4


@pytest.mark.parametrize("fault", [Answer(400, b'{"error": {"message": "no"}}'), ServerError()])
async def test_a_leader_whose_request_is_at_fault_fails_alone(fault: Fault) -> None:
    async with site(FaultPlan().on(fault, nth=1)) as (server, client):
        root = await client.prefix(EXAMPLES)
        results = await asyncio.gather(*(client.expand(root, 4, STEP) for _ in range(4)), return_exceptions=True)
        assert sorted(type(result).__name__ for result in results) == ["Expansion"] * 3 + [
            "RequestRejectedError" if isinstance(fault, Answer) else "ServerFaultError"
        ]
        assert prefilled(server) == least([(root, 12)])


async def test_a_leader_cancelled_at_any_step_hands_over_and_all_others_get_their_samples() -> None:
    async with site() as (server, client):
        steps, is_done = 0, False
        while not is_done:
            root = await client.prefix(f"{steps}. {EXAMPLES}")
            before = prefilled(server)
            leader = asyncio.ensure_future(client.expand(root, 4, STEP))
            for _ in range(steps):
                await asyncio.sleep(0)
            others = [asyncio.ensure_future(client.expand(root, 4, STEP)) for _ in range(3)]
            await asyncio.sleep(0)
            is_done = not leader.cancel()
            assert [len(expansion) for expansion in await asyncio.gather(*others)] == [4] * 3
            await asyncio.wait([leader])
            assert leader.cancelled() != is_done
            await eventually(lambda: server.scheduler.is_idle)
            # The leader may have been computed before its abort came, and its followers sent.
            assert prefilled(server) - before <= least([(root, 16)]) + len(root), steps
            steps = steps + 1 if steps < 40 else steps * 2
        assert steps > 40
        assert client.stats.samples_in_flight == 0


async def test_a_flush_by_somebody_else_is_told_once() -> None:
    async with site() as (server, client):
        root = await client.prefix(EXAMPLES * 5)
        await client.expand(root, 1, STEP)
        server.scheduler.flush()
        with pytest.warns(ReuseShortfallWarning, match="from token 0 on .near 'Here is how such"):
            await client.expand(root, 1, STEP)
        server.scheduler.flush()
        await client.expand(root, 1, STEP)
        assert client.stats.reuse_shortfall == 2 * (len(root) - 1)
