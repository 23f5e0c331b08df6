"""Together: all results, or the first failure with nothing left running."""

from __future__ import annotations

import asyncio

import pytest

from ets_client._together import together


async def echo(value: int) -> int:
    await asyncio.sleep(0)
    return value


async def fail() -> int:
    raise KeyError("first")


async def test_results_come_in_order() -> None:
    assert await together(echo(value) for value in range(5)) == [0, 1, 2, 3, 4]


async def test_one_thing_runs_in_the_task_that_waits_for_it() -> None:
    async def whose() -> asyncio.Task[object] | None:
        return asyncio.current_task()

    assert await together([whose()]) == [asyncio.current_task()]
    with pytest.raises(KeyError, match="first"):
        await together([fail()])


async def test_a_failure_comes_out_bare_and_cancels_the_others() -> None:
    cancelled = asyncio.Event()

    async def wait() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return 0

    with pytest.raises(KeyError, match="first"):
        await together([wait(), fail()])
    assert cancelled.is_set()


async def test_cancelling_it_cancels_all() -> None:
    waiting = asyncio.create_task(together([asyncio.Event().wait()]))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
