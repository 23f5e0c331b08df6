from __future__ import annotations

import asyncio

import pytest

from ets_client import DeadlineExceededError, RetryPolicy, ServerBusyError, ServerUnreachableError
from ets_client._engine.deadline import Deadline
from tests.engine.tries import FOREVER, numbered
from tests.fakes import Clock, FakeStream, Rig


class TestAnErrorInsteadOfAStream:
    """Its body may never end, and a call must not wait for that."""

    async def test_its_body_says_what_is_wrong(self) -> None:
        rig = Rig(policy=RetryPolicy(attempts=1))
        stream = FakeStream(b'{"message": ', b'"queue is full"}', status=503)
        rig.transport.stream_script = [stream]
        with pytest.raises(ServerBusyError, match="queue is full"):
            await rig.caller.open(numbered(), FOREVER)
        assert stream.is_closed

    async def test_one_that_does_not_end_is_given_up_like_a_reply_that_does_not_come(self) -> None:
        rig, clock = Rig(), Clock()
        stalled = [FakeStream(b"{", asyncio.Event(), status=500) for _ in range(5)]
        rig.transport.stream_script = list(stalled)
        opening = asyncio.create_task(rig.caller.open(numbered(), FOREVER))
        for tries, stream in enumerate(stalled):
            await clock.jump(62 * 2**tries, when=lambda stream=stream: stream.is_awaited)  # type: ignore[misc]
        with pytest.raises(ServerUnreachableError, match="gave no reply"):
            await opening
        await rig.caller.aclose()
        assert all(stream.is_closed for stream in stalled)

    async def test_the_deadline_ends_the_wait_for_it(self) -> None:
        rig, clock = Rig(), Clock()
        stream = FakeStream(b"{", asyncio.Event(), status=503)
        rig.transport.stream_script = [stream]
        opening = asyncio.create_task(rig.caller.open(numbered(), Deadline.after(1)))
        await clock.jump(1.1, when=lambda: stream.is_awaited)
        with pytest.raises(DeadlineExceededError):
            await opening
        await rig.caller.aclose()
        assert stream.is_closed
        assert rig.caller.counters.in_flight == 0
