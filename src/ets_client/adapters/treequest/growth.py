"""What a search puts into TreeQuest's tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ...errors import EtsClientError
from ...scores import ScoreFailure

if TYPE_CHECKING:
    from ...branch import Branch
    from ...errors import RequestError
    from ...usage import Usage

__all__ = ["Growth", "Step", "TrialsFailedError"]

State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class Step:
    """The state of a node of TreeQuest's tree.

    Attributes:
        branch: the step; ``branch.prefix.text`` is the path with the prompt.
        score: from 0 to 1, as TreeQuest was told.
    """

    branch: Branch
    score: float


@dataclass(frozen=True, slots=True)
class Growth(Generic[State]):
    """What a search added to a tree.

    Attributes:
        tree: the algorithm's state, for ``treequest.top_k``, ``treequest.render`` and the next ``grow``.
        trials: results told.
        repeats: of them, paths that had ended and were told again.
        failures: samples and scores that could not be had, in the order in which they failed.
        usage: tokens of all samples and scores, as the servers counted them.
    """

    tree: State
    trials: int
    repeats: int
    failures: tuple[RequestError | ScoreFailure, ...]
    usage: Usage


class TrialsFailedError(EtsClientError):
    """So many trials failed one after the other that the search was ended.

    Attributes:
        failures: of these trials.
    """

    def __init__(self, failures: tuple[RequestError | ScoreFailure, ...]) -> None:
        last = failures[-1]
        reason = last.reason if isinstance(last, ScoreFailure) else str(last)
        super().__init__(f"{len(failures)} trials failed in a row, the last one: {reason}")
        self.failures = failures

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.failures,)
