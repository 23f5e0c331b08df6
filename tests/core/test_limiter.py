from __future__ import annotations

import heapq
import math
import statistics
from collections import deque
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ets_client._core.limiter import MOST_WAITING, SHARE, Busy, Limiter, Limits, Load, SampleDone

TOKENS = 24
QUICK = 0.1  # seconds of a sample, below which the limit is not worth its while


@dataclass
class Server:
    """A step of ``fixed + each * batch`` seconds for at most ``most`` samples; the others wait in its queue.

    Beyond ``kv`` tokens in use samples wait too. As many samples as the limit allows are in flight, up to ``demand``.
    """

    fixed: float
    each: float
    most: int
    kv: float = math.inf
    demand: int = 10_000
    now: float = 0.0
    area: float = 0.0
    steps: int = 0
    done: int = 0
    seconds: list[float] = field(default_factory=list)
    waiting: deque[tuple[float, float]] = field(default_factory=deque)
    running: list[tuple[int, float, float]] = field(default_factory=list)

    @property
    def in_flight(self) -> int:
        return len(self.waiting) + len(self.running)

    def run(self, limiter: Limiter, until: float, *, loads: bool = False) -> None:
        told = self.now
        while self.now < until:
            while self.in_flight < min(limiter.limit, self.demand):
                self.waiting.append((self.now, self.area))
            while self.waiting and len(self.running) < min(self.most, self.kv / TOKENS):
                began, area = self.waiting.popleft()
                heapq.heappush(self.running, (self.steps + TOKENS, began, area))
            step = self.fixed + self.each * len(self.running)
            self.now += step
            self.area += step * self.in_flight
            self.steps += 1
            while self.running and self.running[0][0] <= self.steps:
                _, began, area = heapq.heappop(self.running)
                self.done += 1
                self.seconds.append(self.now - began)
                in_flight = (self.area - area) / (self.now - began)
                limiter.observe(SampleDone(self.now, self.now - began, TOKENS, in_flight))
            if loads and self.now - told >= 0.5:
                told = self.now
                use = 0.0 if self.kv is math.inf else len(self.running) * TOKENS / self.kv
                limiter.observe(Load(self.now, len(self.waiting), use))

    def rate(self, batch: float) -> float:
        batch = min(batch, self.most)
        return batch / (self.fixed + self.each * batch)

    @property
    def knee(self) -> float:
        """The fewest samples in flight that give the share of the best."""
        enough = SHARE * self.rate(self.most)
        return enough * self.fixed / (1 - enough * self.each)

    def measure(self, limiter: Limiter, seconds: float, *, loads: bool = False) -> tuple[float, float]:
        """Samples a token time, and the median latency, over this time."""
        done, began = self.done, self.now
        self.seconds.clear()
        self.run(limiter, self.now + seconds, loads=loads)
        return (self.done - done) * TOKENS / (self.now - began), statistics.median(self.seconds)


@pytest.mark.parametrize("most", [16, 64, 200, 600])
@pytest.mark.parametrize("fixed", [0.002, 0.02])
@pytest.mark.parametrize("loads", [False, True])
def test_the_limit_finds_the_servers_knee(most: int, fixed: float, *, loads: bool) -> None:
    server, limiter = Server(fixed, 0.0001, most), Limiter()
    server.run(limiter, 60, loads=loads)
    rate, latency = server.measure(limiter, 60, loads=loads)
    assert rate >= 0.8 * server.rate(most)
    at_the_knee = TOKENS * (fixed + 0.0001 * server.knee)
    assert latency <= 1.6 * at_the_knee + 0.05


@settings(max_examples=5, deadline=None)
@given(most=st.integers(8, 300), fixed=st.floats(0.001, 0.03), each=st.floats(0.00002, 0.001))
def test_no_server_is_left_idle_or_flooded(most: int, fixed: float, each: float) -> None:
    server, limiter = Server(fixed, each, most), Limiter()
    turn = TOKENS * (fixed + each * most)
    server.run(limiter, 200 * turn)
    rate, latency = server.measure(limiter, 60 * turn)
    assert rate >= 0.8 * server.rate(most)
    assert latency <= max(2.2 * turn, 1.5 * QUICK)


@pytest.mark.parametrize(("most", "fixed", "each"), [(10, 0.025851524679318748, 0.00002), (9, 0.001, 0.001)])
def test_a_first_look_at_an_empty_server_does_not_count(most: int, fixed: float, each: float) -> None:
    server, limiter = Server(fixed, each, most), Limiter()
    turn = TOKENS * (fixed + each * most)
    server.run(limiter, 200 * turn)
    assert limiter.limit <= 2 * most


def test_a_server_that_becomes_smaller_is_noticed_and_one_that_grows_again_too() -> None:
    server, limiter = Server(0.01, 0.0001, 256), Limiter()
    server.run(limiter, 60)
    server.most = 32
    server.run(limiter, 160)
    assert limiter.limit <= 80
    server.most = 256
    server.run(limiter, 260)
    assert limiter.limit >= 120


def turn(limiter: Limiter, at: float, *, seconds: float, tokens: int = TOKENS) -> int:
    """As many samples as the limit allows, sent and ended together."""
    for _ in range(limiter.limit):
        limiter.observe(SampleDone(at, seconds, tokens, limiter.limit))
    return limiter.limit


def test_a_server_that_is_suddenly_faster_is_explored_anew() -> None:
    server, limiter = Server(0.001, 0.01, 100), Limiter(Limits(first=8, least=4))
    server.run(limiter, 60)
    assert limiter.limit <= 8
    server.each = 0.0001
    server.run(limiter, 62)
    assert limiter.limit >= 60


@settings(max_examples=20, deadline=None)
@given(
    jitter=st.lists(st.floats(0.2, 5.0), min_size=5, max_size=40), each=st.floats(0.0002, 0.01), n=st.integers(1, 16)
)
def test_jitter_of_quick_replies_does_not_lower_it(jitter: list[float], each: float, n: int) -> None:
    limiter, now = Limiter(), 0.0
    for place in range(1500):
        seconds = each * jitter[place % len(jitter)]
        now += seconds * n / limiter.limit
        limiter.observe(SampleDone(now, seconds, 4 * n, limiter.limit, n))
        assert limiter.limit >= 32
    assert limiter.limit >= min(64, 32 * 2 ** (now // (4 * QUICK)))


@pytest.mark.parametrize(("most", "step"), [(64, 0.0002), (1000, 0.0002), (1000, 0.002)])
def test_a_quick_server_gets_as_many_as_it_answers_soon_within_a_second_of_its_time(most: int, step: float) -> None:
    server, limiter = Server(step, 0.0, most), Limiter()
    server.run(limiter, 1.0)
    busy = min(most, 0.9 * most * QUICK / (TOKENS * step))
    assert limiter.limit >= busy
    server.run(limiter, 10)
    _, latency = server.measure(limiter, 2)
    assert latency <= 1.5 * QUICK


def test_quick_replies_alone_do_not_lift_it_beyond_the_native_batch() -> None:
    server, limiter, limits = Server(0.001, 0.0, 64), Limiter(Limits.around(64)), []
    while server.now < 20:
        server.run(limiter, server.now + 0.05)
        limits.append(limiter.limit)
    assert 64 <= statistics.median(limits) <= 1.5 * 64  # samples of 266 take 0.1 s; it looks up, and comes back


def test_samples_without_tokens_say_nothing() -> None:
    limiter = Limiter(Limits(first=16))
    assert [turn(limiter, at, seconds=1.0, tokens=0) for at in (1.0, 2.0)] == [16, 16]
    assert turn(limiter, 3.0, seconds=1.0) == 32


def test_it_begins_at_the_servers_native_batch_and_stays_there_for_a_while() -> None:
    server, limiter = Server(0.001, 0.0001, 2000), Limiter(Limits.around(512))
    server.run(limiter, 30 * TOKENS * server.fixed)
    assert limiter.limit == 512
    limiter.observe(Busy(server.now))
    assert limiter.limit == int(512 * 0.7)


def test_a_native_batch_that_is_far_from_the_knee_is_left_in_the_end() -> None:
    server, limiter = Server(0.02, 0.0001, 2000), Limiter(Limits.around(64))
    server.run(limiter, 200)
    assert limiter.limit > 128


@pytest.mark.parametrize(
    ("batch", "first", "most"), [(None, 32, 4096), (1, 4, 4096), (256, 256, 4096), (8192, 8192, 16384)]
)
def test_bounds_follow_the_native_batch(batch: int | None, first: int, most: int) -> None:
    limits = Limits.around(batch)
    assert (limits.first, limits.most) == (first, most)


@pytest.mark.parametrize(("running", "first", "queue"), [(None, 512, 0), (2048, 512, 0), (512, 639, 127)])
def test_a_server_that_bounds_what_runs_gets_a_queue_ahead(running: int | None, first: int, queue: int) -> None:
    limits = Limits.around(512, running)
    assert (limits.first, limits.queue) == (first, queue)


def test_a_queue_that_was_asked_for_is_no_trouble() -> None:
    limiter = Limiter(Limits.around(512, 512))
    assert limiter.observe(Load(1.0, 127 + 32, 0.5)) == 639
    assert limiter.observe(Load(100.0, 127 + 33, 0.5)) == int(639 * (1 - 33 / 639))


def test_it_does_not_grow_while_the_application_asks_for_less_than_half() -> None:
    server, limiter = Server(0.01, 0.0001, 1000, demand=15), Limiter(Limits(first=32))
    server.run(limiter, 60)
    assert limiter.limit == 32


def test_it_never_grows_beyond_twice_of_what_the_application_asks_for() -> None:
    server, limiter = Server(0.01, 0.0001, 1000, demand=100), Limiter(Limits(first=32))
    server.run(limiter, 120)
    assert 50 <= limiter.limit <= 2 * 2 * 100


def test_a_fixed_limit_stays_whatever_happens() -> None:
    limiter = Limiter(Limits.fixed(50))
    Server(0.01, 0.0001, 10).run(limiter, 30, loads=True)
    assert [limiter.observe(Busy(31.0)), limiter.observe(Load(60.0, 1000, 1.0))] == [50, 50]


@pytest.mark.parametrize("bounds", [(0, 0, 1), (4, 5, 9), (9, 4, 8)])
def test_bounds_that_contradict_are_refused(bounds: tuple[int, int, int]) -> None:
    first, least, most = bounds
    with pytest.raises(ValueError, match="1 <= least <= first <= most"):
        Limits(first, least, most)


EVENTS = st.one_of(
    st.builds(Busy, st.just(0.0)),
    st.builds(Load, st.just(0.0), st.integers(0, 5000), st.floats(0, 1.2)),
    st.builds(
        SampleDone, st.just(0.0), st.floats(0, 100), st.integers(0, 5000), st.floats(0, 10_000), st.integers(1, 64)
    ),
)


@given(
    events=st.lists(st.tuples(st.floats(0, 20), EVENTS), max_size=200),
    least=st.integers(1, 20), more=st.integers(0, 50), most=st.integers(0, 5000),
)  # fmt: skip
def test_the_limit_stays_within_its_bounds_whatever_happens(
    events: list[tuple[float, SampleDone | Load | Busy]], least: int, more: int, most: int
) -> None:
    bounds = Limits(least + more, least, least + more + most)
    limiter, now = Limiter(bounds), 0.0
    for seconds, event in events:
        now += seconds
        assert limiter.observe(replace(event, at=now)) == limiter.limit
        assert bounds.least <= limiter.limit <= bounds.most


def test_a_refusal_cuts_once_in_a_cooldown() -> None:
    limiter = Limiter(Limits(first=100))
    cuts = [limiter.observe(Busy(at)) for at in (10.0, 10.1, 11.9, 12.0, 12.5)]
    assert cuts == [70, 70, 70, 49, 49]


def test_long_samples_do_not_stretch_the_cooldown_beyond_fifteen_seconds() -> None:
    limiter = Limiter(Limits(first=100))
    limiter.observe(SampleDone(500.0, 500.0, 10, 10.0))
    for _ in range(300):
        limiter.observe(SampleDone(1000.0, 500.0, 10, 10.0))
    first = limiter.observe(Busy(1000.0))
    assert limiter.observe(Busy(1014.9)) == first
    assert limiter.observe(Busy(1015.0)) < first


def test_it_recovers_after_a_cut() -> None:
    server, limiter = Server(0.01, 0.0001, 200), Limiter()
    server.run(limiter, 60)
    before = limiter.limit
    assert limiter.observe(Busy(server.now)) < before
    server.run(limiter, 130)
    assert limiter.limit >= 0.75 * before


def test_an_early_refusal_does_not_hold_it_down_for_ever() -> None:
    server, limiter = Server(0.01, 0.0001, 200), Limiter()
    limiter.observe(Busy(0.0))
    server.run(limiter, 120)
    assert limiter.limit >= 0.7 * server.knee


@pytest.mark.parametrize("load", [Load(10.0, MOST_WAITING, 0.0), Load(10.0, 0, 0.95), Load(10.0, 60, 0.99)])
def test_a_queue_in_the_server_or_a_full_cache_cuts(load: Load) -> None:
    assert 50 <= Limiter(Limits(first=100)).observe(load) < 100


@pytest.mark.parametrize("load", [Load(0.0, 20, 0.0), Load(0.0, 0, 0.9)])
def test_near_to_trouble_it_does_not_grow(load: Load) -> None:
    server, limiter = Server(0.01, 0.0001, 1000), Limiter()
    assert limiter.observe(load) == 32
    server.run(limiter, 20)
    assert limiter.limit <= 32


def test_told_of_the_cache_it_keeps_below_what_would_fill_it() -> None:
    server, limiter = Server(0.02, 0.0001, 1000, kv=64 * TOKENS), Limiter()
    server.run(limiter, 40, loads=True)
    over = 0
    for second in range(40, 100):
        server.run(limiter, second, loads=True)
        over += limiter.limit > 64
    assert over <= 6
    assert limiter.limit >= 40
