from __future__ import annotations

import asyncio

import pytest

from ets_client import ConfigurationError, DeadlineExceededError
from ets_client._engine.deadline import Deadline
from ets_client._engine.dispatcher import Dispatcher
from tests.fakes import Clock, eventually

FOREVER = Deadline(None, 0.0)


class Yard:
    """A dispatcher of a client that has many samples in flight, and who has left."""

    def __init__(self, running: int = 1_000_000) -> None:
        self.clock = Clock()
        self.running = running
        self.dispatcher = Dispatcher(5.0, lambda: self.running)
        self.left: list[str] = []

    def begin(self, name: str, samples: int = 1, deadline: Deadline = FOREVER) -> asyncio.Task[None]:
        return asyncio.create_task(self._leave(name, samples, deadline))

    async def waits(self, count: int) -> None:
        await eventually(lambda: self.dispatcher.waiting == count)

    async def depart(self, waiting: int) -> None:
        await self.clock.jump(5, when=lambda: self.dispatcher.waiting == waiting)

    async def _leave(self, name: str, samples: int, deadline: Deadline) -> None:
        while not self.dispatcher.leaves(samples):
            await self.dispatcher.departure(samples, deadline)
        self.left.append(name)


async def first_gone() -> tuple[Yard, asyncio.Task[None], asyncio.Task[None]]:
    """The first has left, and two wait."""
    yard = Yard()
    await yard.begin("first")
    second, third = yard.begin("second"), yard.begin("third")
    await yard.waits(2)
    return yard, second, third


async def test_the_first_of_an_idle_client_does_not_wait_nor_do_those_ready_in_the_same_turn() -> None:
    yard = Yard()
    await asyncio.gather(*(yard.begin(name) for name in "abc"))
    assert yard.left == ["a", "b", "c"]


async def test_those_that_become_ready_within_an_interval_leave_together_in_their_order() -> None:
    yard = Yard()
    await yard.begin("first")
    tasks = [yard.begin("second")]
    await yard.waits(1)
    tasks += [yard.begin("third"), yard.begin("fourth")]
    await yard.waits(3)
    assert yard.left == ["first"]
    await yard.depart(3)
    await asyncio.gather(*tasks)
    assert yard.left == ["first", "second", "third", "fourth"]
    late = yard.begin("fifth")  # the departure is over
    await yard.depart(1)
    await late


async def test_they_leave_before_the_interval_is_over_when_waiting_has_cost_as_much_as_a_prefill_step() -> None:
    yard = Yard(running=200)  # whom a step of 10 ms costs two sample-seconds
    await yard.begin("first")
    tasks = [yard.begin("second"), yard.begin("third")]
    await yard.waits(2)
    await yard.clock.jump(1.1, when=lambda: yard.dispatcher.waiting == 2)
    await asyncio.gather(*tasks)
    assert yard.left == ["first", "second", "third"]


async def test_no_fewer_than_run_do_not_wait_for_the_time() -> None:
    yard = Yard(running=6)
    await yard.begin("first", 1000)
    tasks = [yard.begin("small", 2)]
    await yard.waits(1)
    tasks += [yard.begin("larger", 3), yard.begin("largest", 4)]
    await asyncio.gather(*tasks)
    assert yard.left == ["first", "small", "larger", "largest"]


async def test_nobody_waits_for_the_sake_of_samples_that_have_ended() -> None:
    yard, second, third = await first_gone()
    yard.running = 2
    await yard.clock.jump(5 / 8, when=lambda: yard.dispatcher.waiting == 2)
    await asyncio.gather(second, third)
    assert yard.left == ["first", "second", "third"]


async def test_a_cancelled_wait_leaves_nothing_behind() -> None:
    yard = Yard()
    await yard.begin("first")
    waiting = yard.begin("second")
    await yard.waits(1)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert (waiting.cancelled(), yard.dispatcher.waiting) == (True, 0)
    assert yard.dispatcher._timer is None
    other = yard.begin("third")
    await yard.depart(1)
    await other
    assert yard.left == ["first", "third"]


async def test_one_of_several_that_is_cancelled_holds_up_nobody() -> None:
    yard, gone, kept = await first_gone()
    gone.cancel()
    await yard.depart(1)
    await kept
    assert gone.cancelled()
    assert yard.left == ["first", "third"]


async def test_a_departure_that_finds_one_just_cancelled_takes_the_others() -> None:
    yard, gone, kept = await first_gone()
    gone.cancel()  # and does not know it yet
    yard.dispatcher._depart()
    await kept
    await asyncio.wait([gone])
    assert gone.cancelled()
    assert yard.left == ["first", "third"]


async def test_a_deadline_ends_the_wait() -> None:
    yard = Yard()
    await yard.begin("first")
    late = yard.begin("second", deadline=Deadline.after(2))
    await yard.clock.jump(2, when=lambda: yard.dispatcher.waiting == 1)
    with pytest.raises(DeadlineExceededError, match="no departure came within 2 s"):
        await late
    assert (yard.left, yard.dispatcher.waiting) == (["first"], 0)


async def test_closing_tells_those_that_wait_and_those_that_come_after() -> None:
    yard = Yard()
    await yard.begin("first")
    waiting, gone = yard.begin("second"), yard.begin("third")
    await yard.waits(2)
    gone.cancel()
    yard.dispatcher.close()
    with pytest.raises(ConfigurationError, match="closed before this call left"):
        await waiting
    with pytest.raises(ConfigurationError, match="closed before this call left"):
        await yard.dispatcher.departure(1, FOREVER)
    assert yard.dispatcher._timer is None
