"""Scores of many prefixes, of which some may have none."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ..errors import RequestRejectedError
from ..scores import ScoreFailure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import TypeAlias

    from .._wire.verdict import Verdict
    from ..prefix import Prefix
    from ..usage import Usage

    Outcome: TypeAlias = Verdict | RequestRejectedError
    Meaning: TypeAlias = Callable[[tuple[float, ...], Usage], "S"]  # what the numbers of one prefix mean

__all__ = ["Scoring"]

S = TypeVar("S")


class Scoring:
    """Scores of what one kind of judge says; prefixes that are too long, are refused or got nothing have the reason."""

    def __init__(self, most_tokens: float, *, too_long: str, missing: str) -> None:
        """Make it.

        Args:
            most_tokens: a prefix that is longer is not asked for; infinity where the server refuses them itself.
            too_long: why not, before the number of tokens that it takes.
            missing: what the server did not give where it gave nothing.
        """
        self._most_tokens = most_tokens
        self._too_long = too_long
        self._missing = missing

    async def scores(
        self,
        prefixes: Sequence[Prefix],
        ask: Callable[[Sequence[Prefix]], Awaitable[Sequence[Outcome]]],
        score: Meaning[S],
    ) -> list[S | ScoreFailure]:
        """One score or failure a prefix, in order.

        Args:
            prefixes: all of them.
            ask: the judge's numbers of those that are short enough; not called when there are none.
            score: what numbers mean.

        Raises:
            RequestError: ask failed.
        """
        fitting = [prefix for prefix in prefixes if len(prefix) <= self._most_tokens]
        outcomes = iter(await ask(fitting) if fitting else ())
        return [
            self._score(next(outcomes), score)
            if len(prefix) <= self._most_tokens
            else ScoreFailure(f"{len(prefix)} tokens; {self._too_long} {self._most_tokens}")
            for prefix in prefixes
        ]

    def _score(self, outcome: Outcome, score: Meaning[S]) -> S | ScoreFailure:
        if isinstance(outcome, RequestRejectedError):
            return ScoreFailure(outcome.message)
        numbers, usage = outcome
        return ScoreFailure(f"the server gave no {self._missing}") if numbers is None else score(numbers, usage)
