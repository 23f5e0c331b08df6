from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from ets_client._engine.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

Loop = asyncio.AbstractEventLoop


class Attempt:
    def __init__(self, *, deadline: float = math.inf, due: float = math.inf) -> None:
        self.start = asyncio.get_running_loop().time()
        self.deadline = deadline
        self.is_due = due
        self.ends: list[float] = []
        self.has_ended = asyncio.Event()

    def due(self) -> float:
        return self.is_due

    def end(self) -> None:
        self.ends.append(asyncio.get_running_loop().time())
        self.has_ended.set()


class Timers:
    """The loop's timers, by hand: the clock stands until :meth:`go_to`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.set: list[tuple[float, Callable[..., object], tuple[object, ...], asyncio.TimerHandle]] = []
        loop = asyncio.get_running_loop()
        self._call_at = loop.call_at
        monkeypatch.setattr(loop, "time", lambda: self.now)
        monkeypatch.setattr(loop, "call_at", self.call_at)
        monkeypatch.setattr(loop, "call_later", lambda delay, *call: self.call_at(self.now + delay, *call))

    def call_at(self, when: float, call: Callable[..., object], *args: object) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, call, args, asyncio.get_running_loop())
        self.set.append((when, call, args, handle))
        return handle

    def go_to(self, now: float) -> None:
        while due := [timer for timer in self.left() if timer[0] <= now]:
            timer = min(due, key=lambda each: each[0])
            self.set.remove(timer)
            self.now, call, args, _ = timer
            call(*args)
        self.now = now

    def left(self) -> list[tuple[float, Callable[..., object], tuple[object, ...], asyncio.TimerHandle]]:
        return [timer for timer in self.set if not timer[3].cancelled()]


async def test_a_far_deadline_is_kept_to_the_moment_and_has_a_timer_only_when_it_is_near(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timers, dog, attempt = Timers(monkeypatch), Watchdog(4.0), Attempt(deadline=107.25)
    dog.watch(attempt)
    timers.go_to(104.0)
    assert len(timers.left()) == 1  # the next look
    timers.go_to(106.5)
    assert len(timers.left()) == 2
    timers.go_to(120.0)
    assert attempt.ends == [107.25]
    assert timers.left() == []


async def test_a_near_deadline_does_not_wait_for_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    timers, dog = Timers(monkeypatch), Watchdog(4.0)
    near, over = Attempt(deadline=100.125), Attempt(deadline=99.0)
    dog.watch(near)
    dog.watch(over)
    timers.go_to(100.5)
    assert (near.ends, len(over.ends)) == ([100.125], 1)


async def test_an_attempt_that_is_overdue_ends_at_the_next_look_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    timers, dog, attempt = Timers(monkeypatch), Watchdog(4.0), Attempt(deadline=102.5)
    dog.watch(attempt)
    timers.go_to(101.0)
    attempt.is_due = 101.5
    timers.go_to(110.0)
    assert attempt.ends == [102.0]
    assert timers.left() == []


async def test_what_is_forgotten_is_not_ended_and_leaves_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    timers, dog, attempt = Timers(monkeypatch), Watchdog(4.0), Attempt(deadline=101.5, due=0.0)
    dog.watch(attempt)
    dog.forget(attempt)
    dog.forget(attempt)
    timers.go_to(110.0)
    dog.end_all()
    assert attempt.ends == []
    assert timers.left() == []


async def test_all_end_at_once_when_the_client_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    timers, dog = Timers(monkeypatch), Watchdog(4.0)
    attempts = [Attempt(), Attempt(deadline=101.0), Attempt(deadline=900.0)]
    for attempt in attempts:
        dog.watch(attempt)
    dog.end_all()
    timers.go_to(1000.0)
    assert [attempt.ends for attempt in attempts] == [[100.0]] * 3
