"""Scores of a function."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Iterable, Sequence
from typing import TYPE_CHECKING, cast

from ...errors import ConfigurationError
from ...scores import ScoreFailure
from .scorer import PathScore, ScoredPath, Scorer

if TYPE_CHECKING:
    from collections.abc import Callable

    Scores = Sequence[float | None]

__all__ = ["CallableScorer"]


class CallableScorer(Scorer):
    """Scores steps by a function of yours: a model in this process, a rule, another service.

    Args:
        function: takes paths, gives a score each, higher is better; None where there is none. A function that is not
            async is called in a thread, since it may take its time.
        name: of the scorer in records; None takes the function's.
    """

    def __init__(
        self, function: Callable[[Sequence[ScoredPath]], Scores | Awaitable[Scores]], *, name: str | None = None
    ) -> None:
        self._function = function
        self._name = name or str(getattr(function, "__name__", type(function).__name__))

    @property
    def name(self) -> str:
        """See the class."""
        return self._name

    async def score(self, paths: Sequence[ScoredPath]) -> Sequence[PathScore | ScoreFailure]:
        """What the function says."""
        if inspect.iscoroutinefunction(self._function):
            scores = cast("Scores", await self._function(paths))
        else:
            found = await asyncio.to_thread(self._function, paths)
            scores = await found if isinstance(found, Awaitable) else found
        return [self._outcome(each) for each in self._checked(scores)]

    def _checked(self, scores: object) -> Sequence[object]:
        if isinstance(scores, str) or not isinstance(scores, Iterable):
            raise ConfigurationError(f"{self._name} gave {scores!r}: a list with a number, or None, for each path")
        return list(cast("Iterable[object]", scores))

    def _outcome(self, score: object) -> PathScore | ScoreFailure:
        if score is None:
            return ScoreFailure(f"{self._name} gave none")
        try:
            return PathScore(float(cast("float", score)))  # of numpy and torch too
        except (TypeError, ValueError):
            raise ConfigurationError(f"{self._name} gave {score!r} for a path: a number, or None") from None

    def __repr__(self) -> str:
        return f"CallableScorer({self._name})"
