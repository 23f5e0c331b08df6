"""Steps of chosen lengths, several in one request: random weights write no delimiters, and an expand has one limit.

The client is patched where it writes requests and where it reads how a step ended; nothing else of it differs.
"""

from __future__ import annotations

import random
from collections import Counter
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from ets_client import EndReason
from ets_client._engine import branches
from ets_client._engine.expander import Expander

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from ets_client._engine.expander import ExpandRequest

MOST = 4  # times the mean; the server is told this much, so that a step may be as long
NEXT: ContextVar[Sequence[int]] = ContextVar("lengths of the next expand")


def exponential(mean: int, n: int, *key: Hashable) -> list[int]:
    """Lengths with this mean, cut at ``MOST`` times; the same for the same key."""
    chance = random.Random(repr(key))
    return [max(1, min(MOST * mean, round(chance.expovariate(1 / mean)))) for _ in range(n)]


@contextmanager
def chosen(lengths: Callable[[ExpandRequest], Sequence[int]]) -> Iterator[None]:
    """Give each sample of each expand the length that ``lengths`` says, and take it for a step's end."""
    written, read = Expander._sampling_of_each, branches.end_of_step

    def write(asked: Expander, request: ExpandRequest) -> list[dict[str, Any]]:
        each = zip(written(asked, request), lengths(request), strict=True)
        return [{**fields, "max_new_tokens": length} for fields, length in each]

    def end(kind: str | None, *more: Any, **given: Any) -> EndReason:
        return EndReason.STEP_LENGTH if kind == "length" else read(kind, *more, **given)

    Expander._sampling_of_each, branches.end_of_step = write, end  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        Expander._sampling_of_each, branches.end_of_step = written, read  # type: ignore[method-assign]


def by_level(mean: int) -> Callable[[ExpandRequest], Sequence[int]]:
    """The k-th sample of a tree's level has the same length in every search of it, whichever node it is asked of."""
    asked: Counter[Hashable] = Counter()

    def lengths(request: ExpandRequest) -> Sequence[int]:
        level = request.prefix.root.fingerprint, request.prefix.depth
        found: list[int] = []
        for _ in range(request.n):
            found += exponential(mean, 1, *level, asked[level])
            asked[level] += 1
        return found

    return lengths


def as_told(request: ExpandRequest) -> Sequence[int]:
    """What :data:`NEXT` says in the task that asks."""
    lengths = NEXT.get()
    if len(lengths) != request.n:
        raise ValueError(f"{len(lengths)} lengths for {request.n} samples")
    return lengths
