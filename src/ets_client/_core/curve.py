"""Tokens a second as a function of the samples in flight, learnt round by round."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["MEMORY", "Curve"]

MEMORY = 48
"""Rounds after which a level is forgotten: prefixes grow and servers change."""

_LEVELS_PER_DOUBLING = 4
_NEWS = 0.5  # weight of a visit against what was known of a level


@dataclass(slots=True)
class _Level:
    in_flight: float
    rate: float  # tokens a second
    seen: int  # round


class Curve:
    """Throughput by level of concurrency, the levels 19 % apart.

    Rates drift by more than neighbouring levels differ: trees grow deeper, attention reads more. So levels are compared
    as if seen at once: a round at the same level as the one before can only show drift, and moves all levels alike;
    only a step from one level to another changes their proportion.
    """

    def __init__(self) -> None:
        self._levels: dict[int, _Level] = {}
        self._last: int | None = None
        self._round = 0

    def record(self, in_flight: float, rate: float) -> float:
        """Learn from a round.

        Args:
            in_flight: samples in flight, the mean; >= 1.
            rate: tokens a second; > 0.

        Returns:
            How many times faster it is than expected of this level; 1 for a new one.
        """
        self._round += 1
        key = round(math.log2(in_flight) * _LEVELS_PER_DOUBLING)
        level = self._levels.setdefault(key, _Level(in_flight, rate, self._round))
        level.in_flight += _NEWS * (in_flight - level.in_flight)
        level.seen = self._round
        news = rate / level.rate
        if key == self._last:
            for each in self._levels.values():
                each.rate *= news
        else:
            level.rate *= news**_NEWS
        self._last = key
        oldest = self._round - MEMORY
        self._levels = {key: level for key, level in self._levels.items() if level.seen > oldest}
        return news

    def knee(self, share: float) -> float:
        """The fewest samples in flight that give ``share`` of the best throughput known.

        Raises:
            ValueError: nothing was recorded.
        """
        enough = share * max(level.rate for level in self._levels.values())
        return min(level.in_flight for level in self._levels.values() if level.rate >= enough)
