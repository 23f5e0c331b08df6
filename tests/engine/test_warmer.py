from __future__ import annotations

import asyncio

import pytest

from ets_client import DeadlineExceededError, Prefix, RequestRejectedError, Usage
from ets_client._core.warmth import Warmth
from ets_client._engine.deadline import Deadline
from ets_client._engine.warmer import Warmer
from tests.fakes import eventually, root

FOREVER = Deadline(None, 0.0)
SHARED = list(range(100))


class Kitchen:
    """A warmer whose prefills last until they are told to end."""

    def __init__(self) -> None:
        self.warmth = Warmth()
        self.warmer = Warmer(self.warmth, self._prefill)
        self.started: list[Prefix] = []
        self._ends: dict[Prefix, asyncio.Future[Usage]] = {}

    async def _prefill(self, prefix: Prefix, deadline: Deadline) -> Usage:
        self.started.append(prefix)
        self._ends[prefix] = asyncio.get_running_loop().create_future()
        async with deadline.limit("the prefill was not done"):
            return await self._ends[prefix]

    def ask(self, prefix: Prefix, deadline: Deadline = FOREVER) -> asyncio.Task[Usage]:
        return asyncio.create_task(self.warmer.warm(prefix, deadline))

    async def finish(self, prefix: Prefix) -> None:
        await eventually(lambda: prefix in self._ends)
        self._ends.pop(prefix).set_result(Usage(len(prefix)))

    async def fail(self, prefix: Prefix) -> None:
        await eventually(lambda: prefix in self._ends)
        self._ends.pop(prefix).set_exception(RequestRejectedError("too long"))


async def test_a_warm_prefix_is_not_computed_again() -> None:
    kitchen = Kitchen()
    kitchen.warmth.add(root([1, 2]))
    assert await kitchen.warmer.warm(root([1, 2]), FOREVER) == Usage()
    assert kitchen.started == []


async def test_many_askers_of_one_prefix_make_one_prefill_and_one_of_them_pays() -> None:
    kitchen, prefix = Kitchen(), root(SHARED)
    tasks = [kitchen.ask(root(SHARED)) for _ in range(5)]
    await kitchen.finish(prefix)
    usages = await asyncio.gather(*tasks)
    assert sorted(usage.prompt_tokens for usage in usages) == [0, 0, 0, 0, 100]
    assert kitchen.started == [prefix]


async def test_after_a_prefill_the_prefix_is_warm() -> None:
    kitchen, prefix = Kitchen(), root(SHARED)
    task = kitchen.ask(prefix)
    await kitchen.finish(prefix)
    await task
    assert kitchen.warmth.length(prefix) == 100


async def test_a_leader_that_fails_hands_over_and_alone_gets_the_error() -> None:
    kitchen, prefix = Kitchen(), root(SHARED)
    first, second = kitchen.ask(prefix), kitchen.ask(prefix)
    await kitchen.fail(prefix)
    with pytest.raises(RequestRejectedError):
        await first
    await kitchen.finish(prefix)
    assert await second == Usage(100)
    assert len(kitchen.started) == 2


async def test_a_leader_that_is_cancelled_hands_over() -> None:
    kitchen, prefix = Kitchen(), root(SHARED)
    first, second = kitchen.ask(prefix), kitchen.ask(prefix)
    await eventually(lambda: len(kitchen.started) == 1)
    first.cancel()
    await eventually(lambda: len(kitchen.started) == 2)
    await kitchen.finish(prefix)
    assert await second == Usage(100)
    assert first.cancelled()


async def test_one_that_waits_can_be_cancelled_alone() -> None:
    kitchen, prefix = Kitchen(), root(SHARED)
    first, second, third = (kitchen.ask(prefix) for _ in range(3))
    await eventually(lambda: len(kitchen.started) == 1)
    second.cancel()
    await kitchen.finish(prefix)
    assert (await first, await third) == (Usage(100), Usage())
    assert second.cancelled()


async def test_one_that_waits_has_its_own_deadline() -> None:
    kitchen, prefix = Kitchen(), root(SHARED)
    first = kitchen.ask(prefix)
    await eventually(lambda: len(kitchen.started) == 1)
    with pytest.raises(DeadlineExceededError, match="the prefix was not prefilled within 0 s"):
        await kitchen.warmer.warm(prefix, Deadline.after(0))
    await kitchen.finish(prefix)
    assert await first == Usage(100)


async def test_a_leaders_deadline_ends_its_prefill_and_hands_over() -> None:
    kitchen, prefix = Kitchen(), root(SHARED)
    first, second = kitchen.ask(prefix, Deadline.after(0)), kitchen.ask(prefix)
    with pytest.raises(DeadlineExceededError, match="the prefill was not done"):
        await first
    await eventually(lambda: len(kitchen.started) == 2)
    await kitchen.finish(prefix)
    assert await second == Usage(100)


async def test_a_part_of_a_running_prefix_is_warm_with_it() -> None:
    kitchen = Kitchen()
    whole, part = root(SHARED), root(SHARED[:50])
    first, second = kitchen.ask(whole), kitchen.ask(part)
    await kitchen.finish(whole)
    assert (await first, await second) == (Usage(100), Usage())
    assert kitchen.warmth.length(part) == 50
    assert kitchen.started == [whole]


async def test_relatives_wait_for_their_shared_part_once_and_then_run_side_by_side() -> None:
    kitchen = Kitchen()
    relatives = [root([*SHARED, 200 + place]) for place in range(4)]
    tasks = [kitchen.ask(prefix) for prefix in relatives]
    await eventually(lambda: len(kitchen.started) == 1)
    await kitchen.finish(relatives[0])
    await eventually(lambda: len(kitchen.started) == 4)
    for prefix in relatives[1:]:
        await kitchen.finish(prefix)
    assert [usage.prompt_tokens for usage in await asyncio.gather(*tasks)] == [101] * 4


async def test_a_shared_part_whose_leader_failed_is_computed_by_one_of_the_others() -> None:
    kitchen = Kitchen()
    relatives = [root([*SHARED, 200 + place]) for place in range(3)]
    tasks = [kitchen.ask(prefix) for prefix in relatives]
    await kitchen.fail(relatives[0])
    await eventually(lambda: len(kitchen.started) == 2)
    await asyncio.sleep(0)
    assert len(kitchen.started) == 2
    await kitchen.finish(relatives[1])
    await kitchen.finish(relatives[2])
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [RequestRejectedError, Usage, Usage]


async def test_strangers_do_not_wait_for_each_other() -> None:
    kitchen = Kitchen()
    strangers = [root([*SHARED[:15], place]) for place in (500, 600)] + [root(SHARED, namespace="other")]
    tasks = [kitchen.ask(prefix) for prefix in strangers]
    await eventually(lambda: len(kitchen.started) == 3)
    for prefix in strangers:
        await kitchen.finish(prefix)
    await asyncio.gather(*tasks)


async def test_a_child_waits_for_its_parents_prefill() -> None:
    kitchen, parent = Kitchen(), root(SHARED)
    child = parent.child([1, 2], "")
    first, second = kitchen.ask(parent), kitchen.ask(child)
    await kitchen.finish(parent)
    await kitchen.finish(child)
    assert (await first, await second) == (Usage(100), Usage(102))
    assert kitchen.started == [parent, child]
