from __future__ import annotations

import asyncio

from ets_client._engine.scope import Scope


def scope_of_this_task() -> tuple[Scope, asyncio.Task[object]]:
    task = asyncio.current_task()
    assert task is not None
    return Scope(task), task


async def wait_in(scope: Scope) -> bool:
    """Whether the cancellation that came was that of the scope alone."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return scope.leave()
    raise AssertionError


async def test_what_ends_a_scope_is_no_cancellation_of_its_task() -> None:
    scope, task = scope_of_this_task()
    asyncio.get_running_loop().call_soon(scope.end)
    assert await wait_in(scope)
    assert task.cancelling() == 0
    assert not scope.leave()


async def test_the_cancellation_of_another_is_not_that_of_the_scope() -> None:
    scope, task = scope_of_this_task()
    asyncio.get_running_loop().call_soon(task.cancel)
    assert not await wait_in(scope)
    assert task.uncancel() == 0


async def test_a_cancellation_at_the_same_time_goes_before_the_end_of_the_scope() -> None:
    scope, task = scope_of_this_task()
    asyncio.get_running_loop().call_soon(scope.end)
    asyncio.get_running_loop().call_soon(task.cancel)
    assert not await wait_in(scope)
    assert task.uncancel() == 0


async def test_a_scope_within_a_task_that_is_being_cancelled_is_told_apart() -> None:
    _, task = scope_of_this_task()
    task.cancel()
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        scope = Scope(task)
        asyncio.get_running_loop().call_soon(scope.end)
        assert await wait_in(scope)
    assert task.uncancel() == 0


async def test_a_scope_that_nobody_ended_is_left_without_a_word() -> None:
    scope, task = scope_of_this_task()
    assert not scope.leave()
    assert task.cancelling() == 0
