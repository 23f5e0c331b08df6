"""Scores of arrivals: from the journal where they were paid for, else from the scorer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..scores import ScoreFailure
from ..usage import Usage
from .journal import Missing
from .scorers import ScoredPath
from .scorers.scorer import outcomes_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .arrivals import Arrival
    from .budget import Spending
    from .children import TreeRules
    from .record import Record
    from .scorers import PathScore, Scorer

__all__ = ["Scoring"]


class Scoring:
    """Scores the steps of one search."""

    def __init__(self, scorer: Scorer, rules: TreeRules, problem: str, record: Record, spending: Spending) -> None:
        """Begin.

        Args:
            scorer: who scores.
            rules: of the tree.
            problem: the question's text.
            record: of the search.
            spending: of the search.
        """
        self._scorer = scorer
        self._rules = rules
        self._problem = problem
        self._record = record
        self._spending = spending

    async def score(self, groups: Sequence[Sequence[Arrival]]) -> None:
        """Give arrivals their scores.

        Args:
            groups: arrivals that came out as the same step, those that count first; each group is scored once.
        """
        cold = [group for group in groups if not self._take_recorded(group)]
        if not cold:
            return
        paths = [self._path(group) for group in cold]
        outcomes = await outcomes_of(self._scorer, paths)
        usage = Usage()
        for group, outcome in zip(cold, outcomes, strict=True):
            score, failure = _read(outcome)
            if not isinstance(outcome, ScoreFailure):
                usage += outcome.usage
            for arrival in group:
                arrival.score, arrival.score_failure = score, failure
        self._spending.scored(usage)
        await self._record.scored([group[0] for group in cold], usage)

    def _take_recorded(self, group: Sequence[Arrival]) -> bool:
        node = group[0].id
        value = self._record.score(node)
        if isinstance(value, Missing):
            return False
        failure = self._record.score_failure(node) if value is None else None
        for arrival in group:
            arrival.score, arrival.score_failure = value, failure
        return True

    def _path(self, group: Sequence[Arrival]) -> ScoredPath:
        branch = group[0].branch
        assert branch is not None  # noqa: S101 - failed samples are not scored
        answer = group[0].answer(self._rules)
        return ScoredPath(self._problem, branch.prefix, branch, answer, len(group))


def _read(outcome: PathScore | ScoreFailure) -> tuple[float | None, str | None]:
    if isinstance(outcome, ScoreFailure):
        return None, outcome.reason
    if not math.isfinite(outcome.value):
        return None, f"the score is {outcome.value}"  # which no method can weigh and no journal keep
    return float(outcome.value), None
