"""How long an attempt may take, learnt from how long others took."""

from __future__ import annotations

from .._record import Record

__all__ = ["Pace", "Work", "patient"]

_FACTOR = 4.0  # over the slowest seen lately
_FIRST_GUESS = 1.0  # second a token: a CPU with many samples at once needs 0.4
_FIRST_SPARE = 120.0  # the first requests compile kernels and fault in weights
_PROMPT_TOKENS_PER_STEP = 16.0  # prompt tokens are computed many at a time; a CPU does 16 in the time of one step
_FORGETS = 0.02  # of the difference, with each attempt that was faster


def patient(seconds: float, tries: int) -> float:
    """How long a try may take when earlier ones of its call were given up: each doubles it, as the server may be slow.

    Args:
        seconds: of the first try.
        tries: attempts of the call that were given up so far.
    """
    return seconds * 2.0 ** min(tries, 10)


class Work(Record, frozen=True):
    """What an attempt asks for.

    Attributes:
        samples: decoded at the same time.
        new_tokens: longest sample.
        prompt_tokens: of the prompt, cached or not.
    """

    samples: int
    new_tokens: int
    prompt_tokens: int = 0

    @property
    def steps(self) -> float:
        """Decode steps that it is worth."""
        return self.new_tokens + self.prompt_tokens / _PROMPT_TOKENS_PER_STEP + 1.0


class Pace:
    """Seconds a step of the slowest attempts seen lately, and how many samples were in flight then.

    A larger crowd may take as many times longer as it is larger, since a server may serve one after another; a smaller
    one gets what the larger took, since a server may serve 64 as fast as one.
    """

    def __init__(self, least: float) -> None:
        """Know nothing.

        Args:
            least: seconds, lower end of every limit.
        """
        self._least = least
        self._slowest: float | None = None
        self._crowd = 1.0

    def limit(self, work: Work, in_flight: int, tries: int) -> float:
        """Seconds after which an attempt is given up.

        Args:
            work: what it asks for.
            in_flight: samples of this client that the server has now, its own included.
            tries: attempts of the same call that were given up so far (:func:`patient`).
        """
        known = self.expected(work, in_flight)
        seconds = _FIRST_SPARE + _FIRST_GUESS * work.steps if known is None else _FACTOR * known
        return patient(max(self._least, seconds), tries)

    def expected(self, work: Work, in_flight: int) -> float | None:
        """Seconds that an attempt takes at the slowest pace seen lately, or None before any was seen.

        Args:
            work: what it asks for.
            in_flight: samples of this client that the server has now, its own included.
        """
        if self._slowest is None:
            return None
        return max(self._slowest, self._slowest_per_sample * in_flight) * work.steps

    def took(self, work: Work, in_flight: int, seconds: float) -> None:
        """Learn from an attempt that ended, or that was given up (it would have taken longer).

        Args:
            work: what it did; new tokens are those that came.
            in_flight: samples in flight when it began, its own included.
            seconds: how long it took.
        """
        rate = seconds / work.steps
        self._slowest = _slower(self._slowest or 0.0, rate)
        # Forgotten as fast as the slowest. A pace for each sample, learnt from the last few of a search, which have
        # the server for themselves, gave a reply that was lost among 300 seven minutes instead of seconds.
        self._crowd = _slower(self._crowd, max(1.0, in_flight))

    @property
    def _slowest_per_sample(self) -> float:
        return (self._slowest or 0.0) / self._crowd


def _slower(known: float, seen: float) -> float:
    return seen if seen >= known else known + _FORGETS * (seen - known)
