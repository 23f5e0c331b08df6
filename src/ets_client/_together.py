"""Await many things, or none of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

__all__ = ["together"]

T = TypeVar("T")


async def together(coroutines: Iterable[Coroutine[None, None, T]]) -> list[T]:
    """Run them at once and return their results in order.

    When one fails, or the caller is cancelled, the others are cancelled and awaited; the first failure is raised as
    it is, not in a group.

    Args:
        coroutines: what to run.
    """
    every = list(coroutines)
    if len(every) == 1:  # as most are: a group and a task take longer than many of the things that are awaited
        return [await every[0]]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in every]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
