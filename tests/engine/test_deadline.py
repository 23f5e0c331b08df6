from __future__ import annotations

import asyncio

import pytest

from ets_client import DeadlineExceededError
from ets_client._engine.deadline import Deadline


async def test_a_deadline_is_a_point_on_the_loops_clock() -> None:
    before = asyncio.get_running_loop().time()
    deadline = Deadline.after(5)
    assert deadline.at is not None
    assert before + 5 <= deadline.at <= asyncio.get_running_loop().time() + 5
    assert deadline.seconds == 5


async def test_no_deadline_never_comes() -> None:
    deadline = Deadline.after(None)
    assert deadline.at is None
    async with deadline.limit("nothing"):
        await asyncio.sleep(0)


async def test_what_is_not_done_in_time_says_so() -> None:
    with pytest.raises(DeadlineExceededError, match="it was not done within 0 s"):
        async with Deadline.after(0).limit("it was not done"):
            await asyncio.Event().wait()


async def test_the_error_of_something_inside_knows_more() -> None:
    with pytest.raises(DeadlineExceededError, match="inside"):
        async with Deadline.after(None).limit("outside"):
            raise DeadlineExceededError("inside")


async def test_cancellation_passes_through() -> None:
    async def work() -> None:
        async with Deadline.after(60).limit("it"):
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
