from __future__ import annotations

import asyncio

from ets_client import FailureKind, RetryPolicy
from ets_client._core.pace import Work
from tests.engine.tries import FOREVER, numbered
from tests.fakes import Clock, Rig, eventually, never, reply


class TestNoReply:
    async def test_an_attempt_that_takes_far_too_long_is_aborted_and_sent_again(self) -> None:
        rig, clock = Rig(never, reply(), has_answered=True), Clock()
        task = asyncio.create_task(rig.caller.call(numbered(), bytes, FOREVER, Work(1, 99)))
        await clock.jump(220, when=lambda: len(rig.transport.requests) == 1)
        assert await task == b"null"
        assert rig.transport.aborted == ["t1s1"]
        assert rig.server.counters.failures == {FailureKind.NO_REPLY: 1}

    async def test_what_an_attempt_may_take_is_learnt(self) -> None:
        rig, clock = Rig(reply(), never, reply(), has_answered=True), Clock()
        await rig.caller.call(numbered(), bytes, FOREVER, Work(1, 99), did=lambda _: Work(1, 99))
        task = asyncio.create_task(rig.caller.call(numbered(), bytes, FOREVER, Work(1, 99)))
        await clock.jump(RetryPolicy().least_attempt, when=lambda: len(rig.transport.requests) == 2)
        assert await task == b"null"

    async def test_what_is_learnt_counts_for_attempts_that_have_begun(self) -> None:
        rig, clock = Rig(never, reply(), reply(), has_answered=True), Clock()
        lost = asyncio.create_task(rig.caller.call(numbered(), bytes, FOREVER, Work(1, 99)))
        await eventually(lambda: len(rig.transport.requests) == 1)
        await rig.caller.call(numbered(), bytes, FOREVER, Work(1, 99), did=lambda _: Work(1, 99))
        await clock.jump(RetryPolicy().least_attempt, when=lambda: True)
        assert await lost == b"null"

    async def test_a_call_that_generates_nothing_has_a_minute(self) -> None:
        rig, clock = Rig(never, reply()), Clock()
        task = asyncio.create_task(rig.caller.call(numbered(), bytes, FOREVER))
        await clock.jump(60, when=lambda: len(rig.transport.requests) == 1)
        assert await task == b"null"

    async def test_the_time_doubles_with_each_try(self) -> None:
        rig, clock = Rig(never, never, reply(), has_answered=True), Clock()
        task = asyncio.create_task(rig.caller.call(numbered(), bytes, FOREVER, Work(1, 99)))
        await clock.jump(220, when=lambda: len(rig.transport.requests) == 1)
        await clock.jump(4 * 220, when=lambda: len(rig.transport.requests) == 2)  # 4 times what the first took
        assert not task.done()
        await clock.jump(4 * 220, when=lambda: True)
        assert await task == b"null"

    async def test_so_does_the_minute_of_a_call_that_generates_nothing(self) -> None:
        rig, clock = Rig(never, never, reply()), Clock()
        task = asyncio.create_task(rig.caller.call(numbered(), bytes, FOREVER))
        await clock.jump(60, when=lambda: len(rig.transport.requests) == 1)
        await clock.jump(61, when=lambda: len(rig.transport.requests) == 2)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(rig.transport.requests) == 2
        await clock.jump(60, when=lambda: True)
        assert await task == b"null"
