from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from ets_client import DeadlineExceededError, ReuseShortfallWarning
from ets_client._core.shadow import Shadow
from ets_client._core.shadow_rules import CacheRules
from ets_client._engine.counters import Counters
from ets_client._engine.deadline import Deadline
from ets_client._engine.server_cache import SentSamples, ServerCache
from ets_client._wire.generate import WireSample
from tests.fakes import Clock, eventually, root, sample

if TYPE_CHECKING:
    from ets_client import Prefix

FOREVER = Deadline(None, 0.0)
SHARED = list(range(100))
WHOLE = root(SHARED)


class Kitchen:
    """A cache whose cold prompts are computed by samples that last until they are told to end."""

    def __init__(self, *, seconds: float = 1e6, is_predictable: bool = True) -> None:
        self.counters = Counters()
        shadow = Shadow(CacheRules(100_000))
        self.cache = ServerCache(shadow, self.counters, lambda _: seconds, is_predictable=is_predictable)
        self.started: list[Prefix] = []
        self.sent: dict[Prefix, SentSamples] = {}

    def ask(self, prefix: Prefix, deadline: Deadline = FOREVER) -> asyncio.Task[None]:
        """Compute a prefix, or wait for who does."""
        return asyncio.create_task(self._ask(prefix, deadline))

    async def _ask(self, prefix: Prefix, deadline: Deadline) -> None:
        await self.cache.wait(prefix, deadline)
        if self.cache.cold(prefix):
            self.started.append(prefix)
            self.sent[prefix] = self.cache.send(prefix)

    async def begun(self, count: int) -> None:
        await eventually(lambda: len(self.started) == count)
        await asyncio.sleep(0)
        assert len(self.started) == count


def wire(ids: tuple[int, ...] = (7, 8), *, cached: int = 0, prompt: int = 100, **meta: Any) -> WireSample:
    one = sample("r", ids, prompt=prompt)
    one["meta_info"] |= {"cached_tokens": cached, **meta}
    return msgspec.convert(one, WireSample)


class TestWaiting:
    async def test_whoever_comes_second_waits_for_the_prefill_and_not_for_the_end(self) -> None:
        kitchen = Kitchen()
        tasks = [kitchen.ask(WHOLE) for _ in range(3)]
        await kitchen.begun(1)
        kitchen.sent[WHOLE].prefilled()
        await asyncio.gather(*tasks)
        assert kitchen.started == [WHOLE]

    async def test_an_end_without_a_first_token_wakes_too(self) -> None:
        kitchen = Kitchen()
        tasks = [kitchen.ask(WHOLE) for _ in range(3)]
        await kitchen.begun(1)
        kitchen.sent[WHOLE].finish(0, wire())
        await asyncio.gather(*tasks)
        assert kitchen.started == [WHOLE]

    async def test_a_sample_that_is_lost_hands_over_to_one_of_those_that_wait(self) -> None:
        kitchen = Kitchen()
        tasks = [kitchen.ask(WHOLE) for _ in range(4)]
        for count in (1, 2, 3):
            await kitchen.begun(count)
            kitchen.sent[WHOLE].lost()
        await kitchen.begun(4)
        kitchen.sent[WHOLE].prefilled()
        await asyncio.gather(*tasks)

    async def test_a_sample_sent_again_hands_over_too(self) -> None:
        kitchen = Kitchen()
        tasks = [kitchen.ask(WHOLE) for _ in range(2)]
        await kitchen.begun(1)
        first = kitchen.sent[WHOLE]
        first.begin()
        await asyncio.gather(*tasks[:1])
        assert not tasks[1].done()
        first.prefilled()
        await tasks[1]
        assert len(kitchen.started) == 1

    async def test_an_abort_in_the_queue_is_a_loss_and_one_with_tokens_is_none(self) -> None:
        kitchen = Kitchen()
        tasks = [kitchen.ask(WHOLE) for _ in range(2)]
        await kitchen.begun(1)
        kitchen.sent[WHOLE].finish(0, wire((), finish_reason={"type": "abort"}))
        await kitchen.begun(2)
        kitchen.sent[WHOLE].finish(0, wire((7, 8), finish_reason={"type": "abort"}))
        await asyncio.gather(*tasks)
        assert kitchen.cache.tokens == 101

    async def test_relatives_wait_for_their_shared_part_once_and_then_run_side_by_side(self) -> None:
        kitchen = Kitchen()
        relatives = [root([*SHARED, *range(200 + 50 * place, 250 + 50 * place)]) for place in range(4)]
        tasks = [kitchen.ask(prefix) for prefix in relatives]
        await kitchen.begun(1)
        kitchen.sent[relatives[0]].prefilled()
        await kitchen.begun(4)
        await asyncio.gather(*tasks)

    async def test_a_child_waits_for_its_parents_prefill(self) -> None:
        kitchen, child = Kitchen(), WHOLE.child([1, 2], "")
        tasks = [kitchen.ask(WHOLE), kitchen.ask(child)]
        await kitchen.begun(1)
        kitchen.sent[WHOLE].prefilled()
        await asyncio.gather(*tasks)
        assert kitchen.started == [WHOLE, child]

    async def test_strangers_do_not_wait_for_each_other(self) -> None:
        kitchen = Kitchen()
        strangers = [root([*SHARED[:15], place, 1]) for place in (500, 600)] + [root(SHARED, namespace="other")]
        await asyncio.gather(*map(kitchen.ask, strangers))
        assert len(kitchen.started) == 3

    async def test_a_sample_whose_prefill_is_not_told_is_not_waited_for(self) -> None:
        kitchen = Kitchen()
        kitchen.cache.send_batch(WHOLE, 2)
        await kitchen.ask(WHOLE)
        assert kitchen.started == [WHOLE]

    async def test_a_wait_is_no_longer_than_the_prefill_and_then_one_computes_it(self) -> None:
        kitchen, clock = Kitchen(seconds=30), Clock()
        tasks = [kitchen.ask(WHOLE) for _ in range(4)]
        await kitchen.begun(1)
        stuck = kitchen.sent[WHOLE]
        await clock.jump(29, when=lambda: True)
        await kitchen.begun(1)
        await clock.jump(1, when=lambda: True)
        await kitchen.begun(2)
        assert sum(task.done() for task in tasks) == 2
        stuck.prefilled()  # late, and true nevertheless: whoever comes now finds it
        assert kitchen.cache.cold(WHOLE) == 0
        kitchen.sent[WHOLE].prefilled()
        await asyncio.gather(*tasks)
        assert len(kitchen.started) == 2

    async def test_the_deadline_ends_a_wait(self) -> None:
        kitchen, clock = Kitchen(), Clock()
        await kitchen.ask(WHOLE)
        task = kitchen.ask(WHOLE, Deadline.after(60))
        await asyncio.sleep(0)
        await clock.jump(60, when=lambda: True)
        with pytest.raises(DeadlineExceededError, match="the prefix was not prefilled within 60 s"):
            await task

    async def test_a_flush_wakes_all_and_one_computes_it_again(self) -> None:
        kitchen = Kitchen()
        tasks = [kitchen.ask(WHOLE) for _ in range(3)]
        await kitchen.begun(1)
        before = kitchen.sent[WHOLE]
        kitchen.cache.clear()
        await kitchen.begun(2)
        before.prefilled()
        before.finish(0, wire())
        assert kitchen.cache.tokens == 0
        kitchen.sent[WHOLE].prefilled()
        await asyncio.gather(*tasks)
        assert len(kitchen.started) == 2
        assert kitchen.cache.tokens == 100


class TestCounting:
    def test_predictions_are_frozen_before_sending_and_added_up(self) -> None:
        kitchen = Kitchen()
        kitchen.cache.saw(WHOLE)
        sent = kitchen.cache.send_batch(WHOLE, 2)
        kitchen.cache.clear()
        assert [sent[place].predicted for place in (0, 1)] == [99, 99]
        sent.finish(0, wire(cached=0))  # it ran in a cache that was emptied: nobody was wrong
        assert (kitchen.counters.predicted, kitchen.counters.shortfall) == (0, 0)
        kitchen.cache.saw(WHOLE)
        sent = kitchen.cache.send_batch(WHOLE, 2)
        sent.finish(0, wire(cached=99))
        sent.finish(1, wire(cached=90))
        assert (kitchen.counters.predicted, kitchen.counters.shortfall) == (198, 9)

    def test_a_batch_goes_only_on_what_is_warm_when_it_is_asked_to(self) -> None:
        kitchen = Kitchen()
        assert kitchen.cache.send_if_warm(WHOLE, 2) is None
        kitchen.cache.saw(WHOLE)
        sent = kitchen.cache.send_if_warm(WHOLE, 2)
        assert sent is not None
        sent.finish(1, wire(cached=99))
        sent.begin()
        assert [sent[place].predicted for place in (0, 1)] == [99, 99]

    def test_a_reply_that_does_not_tell_is_not_counted(self) -> None:
        kitchen = Kitchen()
        kitchen.cache.saw(WHOLE)
        kitchen.cache.send_batch(WHOLE, 1).finish(0, wire(prompt=0))
        assert kitchen.counters.predicted == 0

    def test_new_weights_make_everything_cold(self) -> None:
        kitchen = Kitchen()
        for version in ("one", "one", "two"):
            sent = kitchen.cache.send(WHOLE)
            sent.finish(0, wire(weight_version=version, cached=sent[0].predicted))
        assert kitchen.cache.cold(WHOLE) == 99

    def test_a_large_shortfall_is_told_once_with_the_place(self) -> None:
        kitchen = Kitchen()
        long = root([ord("a")] * 900).child([ord("b")] * 200, "b" * 200)
        kitchen.cache.saw(long)
        with pytest.warns(ReuseShortfallWarning, match="from token 1000 on .near 'bbb") as caught:
            kitchen.cache.send_batch(long, 1).finish(0, wire(cached=1000, prompt=1100))
        assert len(caught) == 1
        kitchen.cache.saw(long)
        kitchen.cache.send_batch(long, 1).finish(0, wire(cached=0, prompt=1100))

    def test_of_several_caches_nothing_is_told(self) -> None:
        kitchen = Kitchen(is_predictable=False)
        long = root(range(2000))
        kitchen.cache.saw(long)
        kitchen.cache.send_batch(long, 1).finish(0, wire(cached=0, prompt=2000))
        assert kitchen.counters.shortfall == 1999
