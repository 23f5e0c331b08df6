"""What steps cost, and whose time passes: real time, or time that a test moves by hand."""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .step import Step

__all__ = ["Clock", "Costs", "RealClock", "Timer", "VirtualClock"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Costs:
    """How long the imaginary GPU takes. The default is no time at all.

    Attributes:
        prefill_token: seconds for each prompt token that is computed.
        decode_step: seconds for one token of every running sample.
        decode_sample: seconds more for each sample in such a step.
        step: seconds that every step takes besides.
    """

    prefill_token: float = 0.0
    decode_step: float = 0.0
    decode_sample: float = 0.0
    step: float = 0.0

    def of(self, step: Step) -> float:
        """Seconds of one step."""
        if step.prefills:
            return self.step + self.prefill_token * step.prefill_tokens
        return self.step + self.decode_step + self.decode_sample * len(step.decodes)


class Timer(Protocol):
    """Something that will happen."""

    def cancel(self) -> None:
        """It will not."""
        ...


class Clock(Protocol):
    """Time as the server sees it."""

    def now(self) -> float:
        """Seconds since some beginning."""
        ...

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Call something after a time."""
        ...


class RealClock:
    """The event loop's time."""

    def now(self) -> float:
        """Seconds since some beginning."""
        return asyncio.get_running_loop().time()

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Call something after a time; at the loop's next pass when it is none."""
        loop = asyncio.get_running_loop()
        return loop.call_later(seconds, callback) if seconds > 0 else loop.call_soon(callback)


class _Entry:
    __slots__ = ("callback", "is_cancelled")

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class VirtualClock:
    """Time that stands still until a test moves it. The server must run in the test's own event loop."""

    def __init__(self, *, passes: int = 20) -> None:
        """At 0.

        Args:
            passes: of the event loop, in which bytes cross a local socket and are answered. Hundreds of requests at the
                same moment need more than a few do.
        """
        self._passes = passes
        self._now = 0.0
        self._entries: list[tuple[float, int, _Entry]] = []
        self._order = count()

    def now(self) -> float:
        """Seconds since this clock was made."""
        return self._now

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Call something after a time; at the loop's next pass when it is none."""
        if seconds <= 0:
            return asyncio.get_running_loop().call_soon(callback)
        entry = _Entry(callback)
        heapq.heappush(self._entries, (self._now + seconds, next(self._order), entry))
        return entry

    async def advance(self, seconds: float) -> None:
        """Let time pass; everything due is done in its order, and what comes of it crosses the sockets.

        Args:
            seconds: how much.
        """
        end = self._now + seconds
        await self._settle()
        while self._entries and self._entries[0][0] <= end:
            self._fire()
            await self._settle()
        self._now = end

    async def run(self, awaitable: Awaitable[T]) -> T:
        """Wait for something, and let time jump to whatever comes next until it is there.

        Time jumps as soon as nothing moves in this event loop, so what waits for another thread may come too late: use
        :meth:`advance` there.

        Args:
            awaitable: what to wait for, such as a client's call.

        Raises:
            RuntimeError: nothing more will happen, and it is still not there.
        """
        task = asyncio.ensure_future(awaitable)
        try:
            idle = 0
            while not task.done():
                await self._settle()
                if task.done():
                    break
                if self._entries:
                    self._fire()
                    idle = 0
                    continue
                idle += 1
                if idle > 1000:
                    raise RuntimeError("the virtual clock has nothing left to do, but what is waited for did not come")
                await asyncio.wait([task], timeout=0.001)
            return await task
        finally:
            task.cancel()

    def _fire(self) -> None:
        at, _, entry = heapq.heappop(self._entries)
        if not entry.is_cancelled:
            self._now = max(self._now, at)
            entry.callback()

    async def _settle(self) -> None:
        for _ in range(self._passes):
            await asyncio.sleep(0)

    def __repr__(self) -> str:
        return f"VirtualClock({self._now:g} s)"
