"""What scoring and level barriers cost, on fake servers with the costs of real ones and a clock that jumps.

    python benchmarks/overlap.py scoring --questions 16 --depth 4 --lengths fixed
    python benchmarks/overlap.py barrier --every 0 24

A model, not a measurement: the client takes no time here. ``scoring`` is the comparison of ``search.py``, ``barrier``
that of ``tree.py`` with exponential steps (``ours`` and ``ours free``).
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import AsyncExitStack, nullcontext
from typing import TYPE_CHECKING

from drivers.ours import Ours
from drivers.shape import Shape
from lengths import MOST, by_level, chosen
from tree import grow, grow_freely

from ets_client import AsyncPolicyClient, SamplingParams
from ets_client.search import CallableScorer, Ets, SearchOptions, TreeSearch, search_all
from ets_client.testing import Costs, FakeOptions, FakeServer, VirtualClock
from search import Counted, hashed, questions_of, reward_format

if TYPE_CHECKING:
    from collections.abc import Callable

    from ets_client.testing.timing import Timer

# Llama-3.2-1B shape on an H100, SGLang 0.5.14: 85,000 tokens/s while 512 samples decode, and about 1 ms of SGLang's own
# for each sample; a prefill step was not measured alone.
OPTIONS = FakeOptions(max_running_requests=4096, max_total_tokens=10_000_000)
DECODE_STEP, DECODE_SAMPLE = 1.8e-3, 8e-6


async def search(asked: argparse.Namespace, *, is_scored: bool) -> float:
    clock = VirtualClock(passes=150)
    # A decode step takes as long as one token of many samples does in the measured search: 30,000 tokens/s at 512.
    policy_costs = Costs(step=3e-3, decode_sample=2.7e-5, prefill_token=4e-6)
    reward_costs = Costs(step=5e-3, decode_sample=2.7e-5, prefill_token=asked.score / asked.step)
    longest = asked.step if asked.lengths == "fixed" else MOST * asked.step
    sampling = SamplingParams(max_new_tokens=longest, ignore_eos=True, stop=())
    options = SearchOptions(width=asked.width, depth=asked.depth, barrier=asked.levels, sampling=sampling)
    async with AsyncExitStack() as stack:
        stack.enter_context(nullcontext() if asked.lengths == "fixed" else chosen(by_level(asked.step)))
        clients: list[AsyncPolicyClient] = []
        for costs in (policy_costs, reward_costs):
            server = await stack.enter_async_context(FakeServer(OPTIONS, costs=costs, clock=clock))
            client = AsyncPolicyClient(server.base_url, "tiny", connections=4096, check_profile=False)
            clients.append(await stack.enter_async_context(client))
        scorer = Counted(clients[1], reward_format([10, 12])) if is_scored else CallableScorer(hashed)
        before, questions = clock.now(), questions_of(asked.questions, 60)
        searches = search_all(TreeSearch(clients[0], Ets(), scorer, options), questions, at_once=asked.questions)
        run = await clock.run(searches)
        tokens = sum(result.usage.completion_tokens for result in run.results.values())
        return tokens / (clock.now() - before)


class LoopOn:
    """What :class:`Dispatcher` takes of an event loop, on a server's clock."""

    def __init__(self, clock: VirtualClock) -> None:
        self.time = clock.now
        self.call_soon = asyncio.get_running_loop().call_soon
        self._clock = clock

    def call_at(self, at: float, callback: Callable[[], None]) -> TimerOn:
        return TimerOn(at, self._clock.call_later(at - self._clock.now(), callback))


class TimerOn:
    def __init__(self, at: float, timer: Timer) -> None:
        self.cancel = timer.cancel
        self._at = at

    def when(self) -> float:
        return self._at


async def grown(asked: argparse.Namespace, every: float, *, is_free: bool) -> float:
    clock = VirtualClock(passes=150)
    step = asked.prefill_step
    costs = Costs(
        step=step, decode_step=DECODE_STEP - step, decode_sample=DECODE_SAMPLE, prefill_token=asked.prefill_sample
    )
    shape = Shape(asked.trees, asked.width, exponential=True, root=20)  # short roots: prefill_token is a sample's cost

    async with (
        FakeServer(OPTIONS, costs=costs, clock=clock) as server,
        Ours(server.base_url, shape, "tiny", departure_interval=every or None) as ours,
    ):
        if ours.client._connection.dispatcher is not None:
            ours.client._connection.dispatcher._loop = LoopOn(clock)
        roots = [await clock.run(ours.client.prefix(root)) for root in shape.roots(1, 2000)]

        async def one(number: int) -> None:
            async with ours.client.tree() as tree:
                if is_free:
                    await grow_freely(ours.within(tree), roots[number], number, [])
                else:
                    await grow(ours.within(tree).expand, roots[number], number, shape, [])

        before = clock.now()
        await clock.run(asyncio.gather(*map(one, range(asked.trees))))
        return shape.tokens() / (clock.now() - before)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    scoring, barrier = kinds.add_parser("scoring"), kinds.add_parser("barrier")
    scoring.add_argument("--width", type=int, default=16, help="below 64, where decisions leave this clock's thread")
    scoring.add_argument("--questions", type=int, default=16)
    scoring.add_argument("--depth", type=int, default=6)
    scoring.add_argument("--step", type=int, default=48)
    scoring.add_argument("--lengths", choices=("exponential", "fixed"), default="exponential")
    scoring.add_argument("--levels", choices=("level", "none"), default="level")
    scoring.add_argument("--score", type=float, default=5e-4, help="seconds of the reward server for a mean step")
    barrier.add_argument("--trees", type=int, default=8)
    barrier.add_argument("--width", type=int, default=16)
    barrier.add_argument("--every", type=float, nargs="+", default=[0, 24], help="ms between departures; 0: none")
    barrier.add_argument(
        "--prefill-step", type=float, default=6e-3, help="seconds of a prefill step, whatever is in it"
    )
    barrier.add_argument("--prefill-sample", type=float, default=5e-4, help="seconds more for each sample in it")
    asked = parser.parse_args()
    if asked.kind == "scoring":
        free, scored = await search(asked, is_scored=False), await search(asked, is_scored=True)
        print(f"{free:,.0f} tokens/s without scoring, {scored:,.0f} with it: {scored / free:.3f}")
        return
    least = await grown(asked, 0, is_free=False)
    print(f"level by level  {least:,.0f} tokens/s")
    for every in asked.every:
        levels, free = [await grown(asked, every / 1000, is_free=is_free) for is_free in (False, True)]
        print(f"{every:3g} ms  levels {levels / least:.3f}  free {free / least:.3f} ({free:,.0f} tokens/s)", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
