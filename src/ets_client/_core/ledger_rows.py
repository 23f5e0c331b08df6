"""What trees have cost: a row of numbers for each, in arrays."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from ..ledger import LedgerRow

if TYPE_CHECKING:
    from collections.abc import MutableSequence

__all__ = [
    "ASKED",
    "EXPANDS",
    "GENERATED",
    "GENERATED_AFTER_PRUNE",
    "LEAST",
    "LEVELS",
    "LIVE",
    "OPEN_LEVEL",
    "PREDICTED",
    "PREFILLS",
    "PUBLISHED",
    "RETRACTIONS",
    "REUSED",
    "ROOT",
    "SAMPLES",
    "SUMMED",
    "TOP",
    "UNANSWERED",
    "WIDTH",
    "RowTable",
    "Rows",
]

SUMMED = (
    "expands",
    "samples",
    "prefills",
    "unanswered",
    "asked",
    "predicted",
    "reused",
    "least",
    "generated",
    "generated_after_prune",
    "retractions",
    "published_kv",
)
"""The first numbers of a row, as :class:`LedgerRow` calls them: of several trees, their sum is that of all."""
EXPANDS, SAMPLES, PREFILLS, UNANSWERED, ASKED, PREDICTED, REUSED, LEAST = range(8)
GENERATED, GENERATED_AFTER_PRUNE, RETRACTIONS, PUBLISHED = range(8, 12)
LIVE, LEVELS, OPEN_LEVEL, TOP, ROOT, _PEAK, _STATE = range(12, 19)
WIDTH = 19
_AREA, _BEGAN, _AT = range(3)
_TIMES = 3
_RUNS, _ENDED = 1, 2
_CHARACTERS = 40
_NAME = 1 + 4 * _CHARACTERS  # bytes: how long it is, and it


class Rows:
    """A row, in lists, which are fastest; or as many as a :class:`RowTable` has. Each is known by its number.

    Attributes:
        counts: of each row :data:`WIDTH` whole numbers, at these places:
            the sums of :data:`SUMMED`;
            LIVE: tokens on its paths in use;
            LEVELS, OPEN_LEVEL: what :mod:`.ledger_published` keeps;
            TOP, ROOT: what :mod:`.ledger_roots` keeps;
            the rest is told by the methods.
    """

    __slots__ = ("_times", "counts")

    def __init__(self) -> None:
        """Make the row of a tree of which nothing was asked yet."""
        self.counts: MutableSequence[int] = [0] * WIDTH
        self._times: MutableSequence[float] = [0.0] * _TIMES

    def add_live(self, number: int, tokens: int, at: float) -> None:
        """So many tokens more are live from ``at`` on. Times are seconds on one clock that never goes back."""
        counts, first = self.counts, number * WIDTH
        state = counts[first + _STATE]
        if state == _RUNS:
            if not tokens:
                return
            times, when = self._times, number * _TIMES
            live = counts[first + LIVE]
            times[when + _AREA] += live * (at - times[when + _AT])
            times[when + _AT] = at
            counts[first + LIVE] = live = live + tokens
            if live > counts[first + _PEAK]:
                counts[first + _PEAK] = live
        elif state != _ENDED:
            counts[first + _STATE] = _RUNS
            counts[first + LIVE] = counts[first + _PEAK] = tokens
            times, when = self._times, number * _TIMES
            times[when + _BEGAN] = times[when + _AT] = at

    def end(self, number: int, at: float) -> None:
        """Nothing is live from ``at`` on, and the time is over."""
        self.add_live(number, -self.live(number), at)
        self.counts[number * WIDTH + _STATE] = _ENDED
        self._times[number * _TIMES + _AT] = at

    def live(self, number: int) -> int:
        """Tokens that are live now."""
        return self.counts[number * WIDTH + LIVE]

    def add_to(self, number: int, sums: list[int]) -> None:
        """Add a row's sums to others."""
        first = number * WIDTH
        for place, value in enumerate(self.counts[first : first + len(SUMMED)]):
            sums[place] += value

    def row(self, number: int, name: str, at: float, sums: list[int] | None = None) -> LedgerRow:
        """What reports show of a row at that time.

        Args:
            number: which.
            name: how they call it.
            at: now.
            sums: instead of the row's own.
        """
        counts, times, first, when = self.counts, self._times, number * WIDTH, number * _TIMES
        live, state = counts[first + LIVE], counts[first + _STATE]
        area = times[when + _AREA] + live * (at - times[when + _AT])
        seconds = ((times[when + _AT] if state == _ENDED else at) - times[when + _BEGAN]) if state else 0.0
        return LedgerRow(
            name,
            live=live,
            live_peak=counts[first + _PEAK],
            live_mean=area / seconds if seconds > 0 else float(live),
            live_token_seconds=area,
            seconds=seconds,
            **dict(zip(SUMMED, counts[first : first + len(SUMMED)] if sums is None else sums, strict=True)),
        )


class RowTable(Rows):
    """Rows in arrays, with a name each.

    An object for each tree would do, but they are made and kept in the middle of a burst, and CPython gives memory back
    by arenas of 1 MB, of which one small object keeps one: 1,024 accounts of a dozen objects kept 21 of them, which
    otherwise were empty.
    """

    __slots__ = ("_names",)

    def __init__(self, size: int) -> None:
        """Make so many; :meth:`clear` must come before a row is used."""
        self.counts = array("q", bytes(8 * WIDTH * size))
        self._times = array("d", bytes(8 * _TIMES * size))
        self._names = bytearray(_NAME * size)

    def clear(self, number: int, name: str) -> None:
        """Another tree has this row now, and the end of this name."""
        first = number * WIDTH
        self.counts[first : first + WIDTH] = _NOTHING
        first = number * _TIMES
        self._times[first : first + _TIMES] = _NEVER
        text = name[-_CHARACTERS:].encode("utf-8", "surrogatepass")
        first = number * _NAME
        self._names[first] = len(text)
        self._names[first + 1 : first + 1 + len(text)] = text

    def name(self, number: int) -> str:
        """The same end of it."""
        first = number * _NAME + 1
        return self._names[first : first + self._names[first - 1]].decode("utf-8", "surrogatepass")


_NOTHING = array("q", bytes(8 * WIDTH))
_NEVER = array("d", bytes(8 * _TIMES))
