"""Log-probabilities: what can be asked for, and what comes back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard

from .errors import ConfigurationError, InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LogprobLists", "LogprobOptions", "Logprobs"]

MOST_TOP = 1000  # a token of 1,000 alternatives is 30 KB of reply


@dataclass(frozen=True, slots=True)
class LogprobOptions:
    """Which log-probabilities a call shall bring besides those of its own tokens.

    ::

        expansion = await client.expand(root, n=8, logprobs=LogprobOptions(top=5))
        most_probable_first = expansion[0].logprobs.top[0]  # token id -> log-probability, at the step's first token

    Attributes:
        top: for each token the most probable ones at its place, 0 to 1000 and at most the vocabulary.
        chosen: for each token these token ids at its place. Up to SGLang 0.5.20 a server dies when a sample with
            chosen ids runs beside one without, so they need 0.5.21 or newer; calls to older servers are refused.

    Raises:
        InvalidRequestError: a number out of range, or something that is no token id.
    """

    top: int = 0
    chosen: Sequence[int] = ()

    def __post_init__(self) -> None:
        if type(self.top) is not int or not 0 <= self.top <= MOST_TOP:
            raise InvalidRequestError("logprobs.top", self.top, f"a whole number from 0 to {MOST_TOP}")
        object.__setattr__(self, "chosen", _as_ids(self.chosen))


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray | memoryview)


def _as_ids(given: object) -> tuple[int, ...]:
    if not _is_list(given):
        raise InvalidRequestError("logprobs.chosen", given, "a list of token ids")
    ids: list[int] = []
    for place, token in enumerate(given):
        if isinstance(token, bool) or not isinstance(token, int) or token < 0:
            raise InvalidRequestError(f"logprobs.chosen[{place}]", token, "a token id, which is a whole number")
        ids.append(token)
    return tuple(ids)


@dataclass(frozen=True, slots=True)
class LogprobLists:
    """Log-probabilities of one sample, read.

    Attributes:
        values: one a token.
        top: of each token the most probable alternatives, or None when they were not asked for.
        chosen: of each token the chosen ids, or None when there were none.
    """

    values: tuple[float, ...]
    top: tuple[dict[int, float], ...] | None = None
    chosen: tuple[dict[int, float], ...] | None = None


class Logprobs:
    """Log-probabilities of a step's tokens, kept as they came and read only when asked for.

    They are natural logarithms after division by the temperature and before top-k, top-p and min-p (SGLang's
    ``layers/sampler.py``). What no token could be has minus infinity.

    Reading any of it raises :class:`ServerFaultError` when the server sent something else than log-probabilities.
    """

    __slots__ = ("_lists", "_read")

    def __init__(self, read: Callable[[], LogprobLists]) -> None:
        """Not for users: ``read`` is called once, when something is asked for."""
        self._read: Callable[[], LogprobLists] | None = read
        self._lists: LogprobLists | None = None

    def _all(self) -> LogprobLists:
        if self._read is not None:
            self._lists = self._read()
            self._read = None  # and with it the reply's bytes
        assert self._lists is not None  # noqa: S101 - one of the two is always there
        return self._lists

    @property
    def values(self) -> tuple[float, ...]:
        """One log-probability a token."""
        return self._all().values

    @property
    def mean(self) -> float:
        """Mean log-probability of a token; NaN for an empty step."""
        values = self.values
        return math.fsum(values) / len(values) if values else math.nan

    @property
    def top(self) -> tuple[dict[int, float], ...]:
        """For each token the most probable tokens at its place: token id -> log-probability, most probable first.

        Raises:
            ConfigurationError: they were not asked for.
        """
        return self._asked(self._all().top, "top=5")

    @property
    def chosen(self) -> tuple[dict[int, float], ...]:
        """For each token the log-probabilities of the chosen ids at its place, in their order.

        Raises:
            ConfigurationError: none were asked for.
        """
        return self._asked(self._all().chosen, "chosen=[12, 17]")

    def _asked(self, lists: tuple[dict[int, float], ...] | None, example: str) -> tuple[dict[int, float], ...]:
        if lists is not None:
            return lists
        if not self.values:
            return ()
        raise ConfigurationError(f"these were not asked for: give the call `logprobs=LogprobOptions({example})`")

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        return "Logprobs(not read yet)" if self._lists is None else f"Logprobs({len(self)} tokens)"
