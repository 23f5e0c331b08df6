from __future__ import annotations

import math
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ets_client._core.departures import Departures

INTERVAL = 8.0
MANY = 1_000_000  # samples that run: more than ever want to leave, and a prefill step costs them 10,000 sample-seconds
PREFILL_STEP = 0.01


def test_the_first_leaves_at_once() -> None:
    departures = Departures[str](INTERVAL)
    assert departures.leaves(1, MANY, 0.0)
    assert departures.is_open


def test_whoever_is_ready_in_the_same_moment_leaves_with_it_and_one_later_does_not() -> None:
    departures = Departures[str](INTERVAL)
    assert [departures.leaves(1, MANY, 5.0) for _ in range(3)] == [True] * 3
    departures.close()
    assert not departures.leaves(1, MANY, 5.0)
    departures.wait("late", 1, 6.0)
    assert departures.leave_at(MANY, 6.0) == 5.0 + INTERVAL


def test_after_a_quiet_interval_one_leaves_at_once_again() -> None:
    departures = Departures[str](INTERVAL)
    departures.leaves(1, MANY, 5.0)
    departures.close()
    assert not departures.leaves(1, MANY, 5.0 + INTERVAL - 0.5)
    assert departures.leaves(1, MANY, 5.0 + INTERVAL)


def test_nobody_leaves_ahead_of_those_that_wait() -> None:
    departures = Departures[str](INTERVAL)
    departures.leaves(1, MANY, 0.0)
    departures.close()
    departures.wait("first", 1, 1.0)
    assert not departures.leaves(1, MANY, 2 * INTERVAL)  # the timer is late
    departures.wait("second", 1, 2 * INTERVAL)
    assert departures.leave(2 * INTERVAL) == ["first", "second"]
    assert departures.leaves(1, MANY, 2 * INTERVAL)


@given(samples=st.integers(1, 64), running=st.integers(0, 64))
def test_an_expand_as_large_as_all_that_runs_does_not_wait(samples: int, running: int) -> None:
    departures = Departures[str](INTERVAL)
    departures.leaves(1, 0, 0.0)
    departures.close()
    assert departures.leaves(samples, running, 0.5) is (samples >= running)


@given(sizes=st.lists(st.integers(1, 8), min_size=1), running=st.integers(0, 64))
def test_those_that_wait_go_as_soon_as_no_fewer_samples_wait_than_run(sizes: list[int], running: int) -> None:
    departures = waiting_since(0.5, sizes)
    assert (departures.leave_at(running, 0.5) == 0.5) is (sum(sizes) >= running)
    departures.cancel(0)
    departures.cancel(0)
    assert (departures.leave_at(running, 0.5) == 0.5) is (sum(sizes[1:]) >= running)


def test_those_that_wait_go_when_waiting_has_cost_as_many_sample_seconds_as_a_prefill_step() -> None:
    departures = Departures[str](INTERVAL)
    departures.leaves(1, MANY, 0.0)
    departures.close()
    departures.wait("two", 2, 1.0)
    assert departures.leave_at(400, 1.0) == 1.0 + 400 * PREFILL_STEP / 2
    departures.wait("three", 3, 1.5)  # one sample-second was waited
    assert departures.leave_at(400, 1.5) == 1.5 + (400 * PREFILL_STEP - 1.0) / 5
    assert departures.leave_at(400, 1.75) == departures.leave_at(400, 1.5)  # it does not move while nothing happens
    assert departures.leave_at(200, 1.75) == 1.75  # some have ended
    assert departures.leave(1.75) == ["two", "three"]
    departures.close()
    departures.wait("new", 2, 2.0)  # begins with nothing
    assert departures.leave_at(400, 2.0) == 2.0 + 400 * PREFILL_STEP / 2


@given(
    gaps=st.lists(st.floats(0, 0.2), min_size=1, max_size=20), samples=st.integers(1, 8), running=st.integers(0, 4096)
)
def test_whatever_comes_nobody_waits_beyond_the_interval(gaps: list[float], samples: int, running: int) -> None:
    departures = Departures[int](INTERVAL)
    departures.leaves(1, MANY, 0.0)
    departures.close()
    now = 0.0
    for place, gap in enumerate(gaps):
        now += gap
        departures.wait(place, samples, now)
        assert departures.leave_at(running, now) <= INTERVAL


def waiting_since(now: float, sizes: list[int]) -> Departures[int]:
    departures = Departures[int](INTERVAL)
    departures.leaves(1, 0, 0.0)
    departures.close()
    for place, samples in enumerate(sizes):
        departures.wait(place, samples, now)
    return departures


@dataclass(eq=False)
class Expand:
    samples: int
    ready: float
    left: float | None = None
    is_cancelled: bool = field(default=False)


class BusyServer(RuleBasedStateMachine):
    """Expands of a client with many samples in flight, and a timer that may be late."""

    def __init__(self) -> None:
        super().__init__()
        self.departures = Departures[Expand](INTERVAL)
        self.now = 0.0
        self.waiting: list[Expand] = []
        self.began: list[float] = []
        self.latest = 0.0  # that the timer was, with those that wait now

    @rule(samples=st.integers(1, 16))
    def is_ready(self, samples: int) -> None:
        expand = Expand(samples, self.now)
        was_open, last = self.departures.is_open, self.began[-1] if self.began else -math.inf
        if self.departures.leaves(samples, MANY, self.now):
            assert was_open or (not self.waiting and self.now >= last + INTERVAL)
            if not was_open:
                self.began.append(self.now)
            return
        assert self.waiting or self.now < last + INTERVAL
        self.departures.wait(expand, samples, self.now)
        self.waiting.append(expand)

    @precondition(lambda self: self.waiting)
    @rule(late=st.sampled_from([0.0, 0.0, 0.25, 20.0]))
    def timer_fires(self, late: float) -> None:
        at = self.departures.leave_at(MANY, self.now)
        assert at - INTERVAL <= self.waiting[0].ready  # it waited one interval at most
        self.departures.close()
        self.now = max(self.now, at + late)
        assert self.departures.leave(self.now) == self.waiting
        self.began.append(self.now)
        self.waiting.clear()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def is_cancelled(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.waiting))
        self.departures.cancel(one)
        self.waiting.remove(one)

    @rule(seconds=st.sampled_from([0.0, 0.5, 3.0, INTERVAL, 50.0]))
    def time_passes(self, seconds: float) -> None:
        self.departures.close()
        if self.waiting:
            seconds = min(seconds, max(0.0, self.departures.leave_at(MANY, self.now) - self.now))
        self.now += seconds

    @invariant()
    def departures_are_an_interval_apart(self) -> None:
        assert all(later - earlier >= INTERVAL for earlier, later in zip(self.began, self.began[1:], strict=False))
        assert self.departures.waiting == len(self.waiting)


TestBusyServer = BusyServer.TestCase
