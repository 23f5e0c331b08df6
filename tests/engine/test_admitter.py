from __future__ import annotations

import asyncio

import pytest

from ets_client import ConfigurationError, DeadlineExceededError, ServerFaultError, WorkerLoad
from ets_client._core.limiter import Limits
from ets_client._core.ticket import Ticket
from ets_client._engine.admitter import Admitter, Turn
from ets_client._engine.deadline import Deadline
from tests.fakes import Clock, eventually

FOREVER = Deadline(None, 0.0)


def begin(admitter: Admitter, samples: int = 1, tree: str = "t") -> asyncio.Task[Turn]:
    return asyncio.create_task(admitter.turn(Ticket(samples, tree), FOREVER))


async def test_no_more_samples_are_in_flight_than_the_limit_allows() -> None:
    admitter = Admitter(Limits.fixed(4), None)
    first = await begin(admitter, 3)
    second = begin(admitter, 2)
    await eventually(lambda: admitter.waiting == 1)
    first.done(2, 20)
    await second
    assert admitter.waiting == 0
    first.close()
    first.close()  # what came back does not come back again


async def test_one_that_needs_more_than_the_limit_goes_alone() -> None:
    admitter = Admitter(Limits.fixed(4), None)
    turn = await begin(admitter, 64)
    other = begin(admitter)
    await eventually(lambda: admitter.waiting == 1)
    turn.close()
    await other


async def test_samples_that_generated_nothing_come_back_and_teach_nothing() -> None:
    admitter, clock = Admitter(Limits.fixed(4), None), Clock()
    turn = await begin(admitter, 4)
    await clock.jump(5, when=lambda: True)
    turn.done(2, 0)
    assert (admitter._admission.in_flight, admitter._admission._sample_seconds) == (2, 0.0)
    turn.done(2, 20)
    assert admitter._admission._sample_seconds >= 5


async def test_a_cancelled_wait_gives_its_place_up() -> None:
    admitter = Admitter(Limits.fixed(1), None)
    first = await begin(admitter)
    second, third = begin(admitter), begin(admitter)
    await eventually(lambda: admitter.waiting == 2)
    second.cancel()
    await asyncio.wait([second])
    assert second.cancelled()
    first.close()
    (await third).close()
    assert admitter.waiting == 0


async def test_whoever_waits_behind_one_that_is_cancelled_goes_if_there_is_room() -> None:
    admitter = Admitter(Limits.fixed(4), None)
    await begin(admitter, 3)
    large, small = begin(admitter, 4), begin(admitter)
    await eventually(lambda: admitter.waiting == 2)
    large.cancel()
    (await small).close()


async def test_a_turn_that_comes_to_one_just_cancelled_goes_to_the_next() -> None:
    admitter = Admitter(Limits.fixed(1), None)
    first = await begin(admitter)
    second, third = begin(admitter), begin(admitter)
    await eventually(lambda: admitter.waiting == 2)
    first.close()  # the second has its turn, and does not know it yet
    second.cancel()
    await asyncio.wait([second])
    (await third).close()


async def test_a_deadline_ends_the_wait() -> None:
    admitter, clock = Admitter(Limits.fixed(1), None), Clock()
    await begin(admitter)
    late = asyncio.create_task(admitter.turn(Ticket(1, "t"), Deadline.after(5)))
    await clock.jump(5, when=lambda: admitter.waiting == 1)
    with pytest.raises(DeadlineExceededError, match="no turn came within 5 s"):
        await late
    assert admitter.waiting == 0


async def test_closing_tells_those_that_wait_and_leaves_no_task() -> None:
    async def loads() -> tuple[WorkerLoad, ...]:
        raise AssertionError

    admitter = Admitter(Limits(1, 1, 9), loads)
    await begin(admitter)
    waiting = begin(admitter, 8)
    await eventually(lambda: admitter.waiting == 1)
    await admitter.aclose()
    with pytest.raises(ConfigurationError, match="closed before the turn"):
        await waiting
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_refusal_lowers_an_adaptive_limit() -> None:
    admitter = Admitter(Limits(first=100, least=4, most=200), None)
    turn = await begin(admitter, 90)
    admitter.refused()
    assert admitter.limit < 100
    turn.close()


async def test_the_servers_load_is_looked_at_while_something_runs() -> None:
    asked = 0

    async def loads() -> tuple[WorkerLoad, ...]:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise ServerFaultError("broken")
        if asked == 2:
            return ()
        return (WorkerLoad(0, 9, 500, 0, 100, 0.99, 0.0, 0.0),)

    admitter, clock = Admitter(Limits(first=100, least=4, most=200), loads), Clock()
    turn = await begin(admitter, 90)
    await clock.jump(1, when=lambda: asked == 0)
    await clock.jump(1, when=lambda: asked == 1)
    await clock.jump(1, when=lambda: asked == 2)
    await eventually(lambda: admitter.limit < 100)
    turn.close()
    await clock.jump(1, when=lambda: True)
    await eventually(lambda: len(asyncio.all_tasks()) == 1)
    await admitter.aclose()


async def test_a_tree_that_has_ended_leaves_its_place_to_others() -> None:
    admitter = Admitter(Limits.fixed(4), None)
    turn = await begin(admitter, 4, "one")
    other = begin(admitter, 4, "two")
    await eventually(lambda: admitter.waiting == 1)
    turn.done(4, 40)
    admitter.finish("one")
    (await other).close()
