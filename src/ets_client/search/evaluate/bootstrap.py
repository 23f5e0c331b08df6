"""How sure an accuracy is, from the questions that it was measured on. Pure: the seed is an argument."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Interval", "bootstrap_interval", "bootstrap_intervals"]

_AT_ONCE = 512  # resamples: 2 MB of counts for 500 questions


class Interval(NamedTuple):
    """A mean and where it lies in 95 of 100 resamples of the questions."""

    value: float
    low: float
    high: float


def bootstrap_interval(values: Sequence[float], seed: int, resamples: int = 10_000) -> Interval:
    """The percentile interval of one mean; see :func:`bootstrap_intervals`."""
    return bootstrap_intervals([values], seed, resamples)[0]


def bootstrap_intervals(rows: Sequence[Sequence[float]], seed: int, resamples: int = 10_000) -> list[Interval]:
    """The percentile intervals of means over the same questions.

    The same seed draws the same questions for any values of as many questions. The difference of two runs on the same
    questions is therefore the interval of ``[one - other, …]``.

    Args:
        rows: for each mean one value a question: whether it is right, or how often.
        seed: of the resamples.
        resamples: how many.

    Returns:
        One a row; NaN throughout without values.
    """
    values = np.asarray(rows, dtype=np.float64)
    if not values.size:
        return [Interval(np.nan, np.nan, np.nan)] * len(rows)
    generator = np.random.default_rng(seed)
    count = values.shape[1]
    means: list[NDArray[np.float64]] = []
    for start in range(0, resamples, _AT_ONCE):
        at_once = min(_AT_ONCE, resamples - start)
        drawn = generator.multinomial(count, np.full(count, 1 / count), size=at_once)
        means.append(drawn @ values.T / count)
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975], axis=0)
    return [Interval(*map(float, each)) for each in zip(values.mean(axis=1), low, high, strict=True)]
