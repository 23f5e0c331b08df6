"""Compute a cold prefix once, however many expands of it, or of its relatives, arrive together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..branch import Usage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .._core.warmth import Warmth
    from ..prefix import Prefix
    from .deadline import Deadline

__all__ = ["Warmer"]

_WORTH_WAITING_TOKENS = 16  # a shared part shorter than this is computed again rather than waited for


class Warmer:
    """Single flight for prefills: whoever needs a cold prefix that another call is computing waits for that one."""

    def __init__(self, warmth: Warmth, prefill: Callable[[Prefix, Deadline], Awaitable[Usage]]) -> None:
        """Make a warmer.

        Args:
            warmth: what is known to be cached.
            prefill: computes a prefix on the server.
        """
        self._warmth = warmth
        self._prefill = prefill
        self._running: dict[Prefix, asyncio.Event] = {}

    async def warm(self, prefix: Prefix, deadline: Deadline) -> Usage:
        """Return when the server holds the prefix.

        A call that fails or is cancelled wakes those that waited for it, and one of them takes over.

        Args:
            prefix: what to compute.
            deadline: when to give up.

        Returns:
            Tokens of the request that this call made; zero when it made none.

        Raises:
            RequestError: the prefill failed, or was not done in time.
        """
        warm = self._warmth.length(prefix)
        while warm < len(prefix):
            ahead = self._shares_with_a_running_one(prefix, warm)
            if ahead is None:
                return await self._lead(prefix, deadline)
            other, shared = ahead
            async with deadline.limit("the prefix was not prefilled"):
                await self._running[other].wait()
            done = shared if self._warmth.length(other) == len(other) else 0
            warm = max(warm, done, self._warmth.length(prefix))
        self._warmth.add(prefix)
        return Usage()

    async def _lead(self, prefix: Prefix, deadline: Deadline) -> Usage:
        done = self._running[prefix] = asyncio.Event()
        try:
            usage = await self._prefill(prefix, deadline)
            self._warmth.add(prefix)
            return usage
        finally:
            del self._running[prefix]
            done.set()

    def _shares_with_a_running_one(self, prefix: Prefix, warm: int) -> tuple[Prefix, int] | None:
        for other in self._running:
            shared = prefix.common_length(other)
            if shared - warm >= _WORTH_WAITING_TOKENS or shared == len(prefix):
                return other, shared
        return None
