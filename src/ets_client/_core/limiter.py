"""How many samples may be in flight: as few as give the server's best throughput."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from .._record import Record
from .curve import MEMORY, Curve

__all__ = ["KV_CEILING", "Busy", "Limiter", "Limits", "Load", "SampleDone"]

SHARE = 0.94  # of the best throughput; what it takes to get the rest is mostly time in a queue
_LOOK_UP = 1.9  # times the knee: how far above it must be known that nothing is gained
_BACK_LEAST, _BACK, _BACK_MOST = 0.55, 0.65, 0.8  # times the knee: below it must be known that something is lost
_SLOW_START = 2.0
_STEEP = 1.12  # gain of a doubling in slow start; below it one more would go far past the knee
_PROBE = 1.35
_CHANGED = 1.6  # times faster or slower at the same level: it is another server now
_NEARLY = 0.95
_SAME = 0.12  # relative; levels are 19 % apart, a smaller step is noise
_SHORTEST = 1e-6  # seconds
_QUICK = 0.1  # seconds of a sample, below which fewer in flight gain nobody anything
_FEWEST_OF_A_ROUND = 8
_SHORTEST_ROUND = 0.05  # seconds; 8 samples of 1 ms show the jitter of two busy processes, and not a server
_TRUSTED_ROUNDS = 48
_NEWS = 0.3  # weight of a round in the mean time of a sample

_CUT = 0.7
_RECOVER = 1.1  # a round, after a cut
_CREEP = 1.02  # a round, near to where the trouble was
_BELOW_TROUBLE, _ABOVE_TROUBLE = 0.8, 1.2
_LONGEST_COOLDOWN = 15.0  # seconds

MOST_WAITING = 128  # above, SGLang's lpm falls back to first come, first served
_MANY_WAIT = MOST_WAITING // 4
_SOME_WAIT = MOST_WAITING // 8
KV_CEILING = 0.92  # above, a few long samples are enough for a retraction
_KV_NEAR = 0.85


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the limit, in samples; ``least == most`` fixes it.

    Attributes:
        first: where slow start begins.
        least: it is never below.
        most: it is never above.
        trust: rounds in which nothing but trouble moves it from ``first``.
        queue: samples that are meant to wait in the server.
    """

    first: int = 32
    least: int = 4
    most: int = 4096
    trust: int = 0
    queue: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.first <= self.most:
            raise ValueError(f"{self}: must be 1 <= least <= first <= most")

    @classmethod
    def around(cls, native_batch: int | None, running_most: int | None = None) -> Limits:
        """To begin where the server was tuned for.

        A search of half a minute has some 20 rounds, too few to find the knee, and each look at a level beyond it
        costs: on an H100 (1B shape, graphs captured up to 512) 22,900 tokens/s with 512 samples in flight, 16,500 with
        640, 20,700 with 2,048.

        A server that itself runs no more than that keeps the others ready in its queue: with a quarter more in flight
        the next ones are at hand when a group ends. On an H200 that ran 512 at most: 32,700 tokens/s with 512 in
        flight, 38,100 with 640, 36,900 with 704.

        Args:
            native_batch: :attr:`ServerInfo.native_batch`.
            running_most: :attr:`ServerInfo.running_most`.
        """
        usual = cls()
        if native_batch is None:
            return usual
        is_bounded = running_most is not None and running_most <= native_batch
        queue = min(native_batch // 4, MOST_WAITING - 1) if is_bounded else 0
        first = max(usual.least, native_batch + queue)
        return cls(first, most=max(usual.most, 2 * first), trust=_TRUSTED_ROUNDS, queue=queue)

    @classmethod
    def fixed(cls, samples: int) -> Limits:
        """Always ``samples``."""
        return cls(samples, samples, samples)


class SampleDone(Record, frozen=True):
    """Samples that ended together.

    Attributes:
        at: the time, in seconds.
        seconds: how long each of them took from being sent.
        tokens: what they generated together.
        in_flight: mean number of samples in flight in this time.
        samples: how many they are.
    """

    at: float
    seconds: float
    tokens: int
    in_flight: float
    samples: int = 1


@dataclass(frozen=True, slots=True)
class Load:
    """What the server said of itself (``/v1/loads``).

    Attributes:
        at: the time, in seconds.
        waiting: samples in its queue.
        kv_use: share of its KV cache that running samples need, 0 to 1 (``token_usage``).
    """

    at: float
    waiting: int
    kv_use: float


@dataclass(frozen=True, slots=True)
class Busy:
    """The server refused (503, queue full).

    There is no field for a ``Retry-After``: obeying it froze the limits of others for whole runs (inspect_ai#5138).

    Attributes:
        at: the time, in seconds.
    """

    at: float


@dataclass(slots=True)
class _Round:
    """Samples sent and ended under one limit."""

    began: float
    samples: int = 0
    seconds: float = 0.0
    tokens: int = 0
    area: float = 0.0

    def add(self, done: SampleDone) -> None:
        self.samples += done.samples
        self.seconds += done.seconds * done.samples
        self.tokens += done.tokens
        self.area += max(1.0, done.in_flight) * done.samples

    @property
    def in_flight(self) -> float:
        return self.area / self.samples

    @property
    def seconds_each(self) -> float:
        return self.seconds / self.samples

    @property
    def rate(self) -> float:
        """The server's tokens a second: by Little's law the samples in flight, times what one gets in a second.

        Counting tokens would need many rounds to get below the noise of batches that end together.
        """
        return self.in_flight * self.tokens / self.seconds


class Limiter:
    """An adaptive limit of samples in flight.

    In rounds of about two sample times it looks at the :class:`Curve`: the limit goes to the fewest samples that give
    0.94 of the best throughput known. When nothing near twice that was tried, it goes up to look (at the start: by
    doubling); when nothing a third below it was tried, it goes down to look. It looks again every 48 rounds.

    While a sample takes less than 0.1 s the limit only rises, up to where it would take that long, or to the batch that
    the server was tuned for: fewer in flight would gain nobody anything, and rounds of a few milliseconds show the
    jitter of two processes. By the curve alone the limit wandered between 4 and 200 on a server that answers at once.

    Above this is a ceiling that only trouble sets: a refusal, a queue in the server, a full KV cache. It is cut at most
    once in a cooldown of two sample times, 1 to 15 seconds, and recovers by 10 % a round while the server has room, by
    2 % near to where the trouble was.

    Attributes:
        limit: samples that may be in flight.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._limit = float(self._limits.first)
        self._ceiling = float(self._limits.most)
        self._curve = Curve()
        self._tried: deque[float] = deque(maxlen=MEMORY)
        self._trust = self._limits.trust
        self._most_quick = self._limits.first if self._trust else self._limits.most
        self._is_starting = not self._trust
        self._is_settling = True
        self._has_room = True
        self._round = _Round(-math.inf)
        self._sample_seconds = 1.0
        self._cut_at = -math.inf
        self._trouble = math.inf
        self._last_rate = 0.0
        self.limit = self._limits.first

    def observe(self, event: SampleDone | Load | Busy) -> int:
        """Learn from what happened.

        Returns:
            The limit from now on.
        """
        if self._limits.least == self._limits.most:
            return self.limit
        if isinstance(event, SampleDone):
            self._sample(event)
        elif isinstance(event, Load):
            self._load(event)
        else:
            self._cut(event.at, _CUT)
        return self.limit

    def _set(self, limit: float) -> None:
        self._limit = min(float(self._limits.most), max(float(self._limits.least), limit))
        self.limit = int(max(self._limits.least, min(self._limit, self._ceiling)))

    def _sample(self, done: SampleDone) -> None:
        if done.at - done.seconds < self._round.began or done.seconds < _SHORTEST:
            return
        if self._is_settling:
            # The first ones, and those after a step up, find no queue yet: a flooded server looks a third faster than
            # it is, and one for 10 samples at once that was given 32 looked half as fast again for the next 48 rounds.
            self._is_settling, self._round = False, _Round(done.at)
            return
        self._round.add(done)
        if done.at - self._round.began < _SHORTEST_ROUND:
            return
        if self._round.samples < max(_FEWEST_OF_A_ROUND, min(self.limit, self._round.in_flight)):
            return
        ended, self._round = self._round, _Round(done.at)
        self._sample_seconds += _NEWS * (ended.seconds_each - self._sample_seconds)
        if ended.rate > 0:
            before = self.limit
            self._decide(ended)
            self._is_settling = self.limit != before

    def _decide(self, ended: _Round) -> None:
        """Set the limit at the end of a round."""
        limit, in_flight, rate = float(self.limit), ended.in_flight, ended.rate
        news = self._curve.record(in_flight, rate)
        if not 1 / _CHANGED < news < _CHANGED:
            self._curve = Curve()
            self._curve.record(in_flight, rate)
            self._tried.clear()
            if news < 1:
                self._tried.append(_LOOK_UP * limit)  # look down first
        if in_flight < limit / 2:
            return  # the application asks for less: nothing can be learnt of a limit that does not bind
        if self._has_room:
            near = _BELOW_TROUBLE < self._ceiling / self._trouble < _ABOVE_TROUBLE
            self._ceiling = min(self._limits.most, self._ceiling * (_CREEP if near else _RECOVER))
            self._set(self._limit)
        self._tried.append(limit)
        if self._trust:
            self._trust -= 1
            return
        self._is_starting &= rate > _STEEP * self._last_rate
        self._last_rate = rate
        quick = min(self._most_quick, limit * _QUICK / ended.seconds_each)
        if limit < (1 - _SAME) * quick:
            self._set(min(_SLOW_START * limit, quick))
        else:
            self._look(limit, in_flight, quick)

    def _look(self, limit: float, in_flight: float, least: float) -> None:
        """Go where the curve says, but not below ``least``, or where it is not known."""
        # Permits that are kept for trees between two levels do not run, so the limit is above what it lets run.
        wanted = max(least, limit / in_flight * self._curve.knee(SHARE))
        if self._has_room and max(self._tried) < _NEARLY * min(_LOOK_UP * wanted, self._ceiling):
            limit *= _SLOW_START if self._is_starting else _PROBE
        else:
            self._is_starting = False
            if abs(wanted - limit) > _SAME * limit:
                limit = wanted
            elif not any(_BACK_LEAST * wanted <= each <= _BACK_MOST * wanted for each in self._tried):
                limit *= _BACK
        self._set(limit)

    def _load(self, load: Load) -> None:
        waiting = load.waiting - self._limits.queue
        self._has_room = waiting <= _SOME_WAIT and load.kv_use <= _KV_NEAR
        share = 1.0
        if waiting > _MANY_WAIT:
            share = max(0.5, 1 - waiting / self.limit)
        if load.kv_use > KV_CEILING:
            share = min(share, max(0.5, _KV_NEAR / load.kv_use))
        if share < 1:
            self._cut(load.at, share)

    def _cut(self, at: float, share: float) -> None:
        """Lower the ceiling, once for all that goes wrong within a cooldown."""
        if at - self._cut_at < min(_LONGEST_COOLDOWN, max(1.0, 2 * self._sample_seconds)):
            return
        self._cut_at = at
        self._is_starting = False
        self._trouble = float(self.limit)
        self._ceiling = max(float(self._limits.least), self.limit * share)
        self._set(self._limit)
