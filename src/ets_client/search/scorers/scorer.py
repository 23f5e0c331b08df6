"""What a search asks of whoever scores its paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ...usage import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...branch import Branch
    from ...prefix import Prefix
    from ...scores import ScoreFailure

__all__ = ["PathScore", "ScoredPath", "Scorer", "outcomes_of"]


@dataclass(frozen=True, slots=True)
class ScoredPath:
    """A path whose last step wants a score.

    Attributes:
        problem: the question's text, without template.
        prefix: the path on the policy: token ids, text and step boundaries (``prefix.path``), matched stops included.
            A reward model with another tokenizer reads its texts.
        branch: the last step as it was sampled.
        answer: what the last step states as the final answer, or None.
        multiplicity: samples that came out as exactly this step so far.
    """

    problem: str
    prefix: Prefix
    branch: Branch
    answer: str | None = None
    multiplicity: int = 1


@dataclass(frozen=True, slots=True)
class PathScore:
    """The score of a path's last step.

    Attributes:
        value: higher is better.
        usage: tokens that it cost on the reward server; of a batch, this path's.
    """

    value: float
    usage: Usage = Usage()  # noqa: RUF009 - frozen


class Scorer(Protocol):
    """Scores paths. One scorer serves all searches of a run at once. Derive from it to have the defaults.

    Attributes:
        name: what it is called in records.
        is_local: whether scores are computed at once, without waiting for anything. Steps of a level are then scored
            together when all are there; otherwise each while its siblings still decode.
        needs_logprobs: whether it wants the log-probabilities of a step's tokens.
    """

    is_local: bool = False
    needs_logprobs: bool = False

    @property
    def name(self) -> str:
        """What it is called in records."""
        ...

    async def score(self, paths: Sequence[ScoredPath]) -> Sequence[PathScore | ScoreFailure]:
        """One outcome a path, in their order.

        Paths come as they finish; calls of many searches run at once. A path that cannot be scored has a
        :class:`~ets_client.ScoreFailure`; an exception ends the search. Cancelling stops what runs on the server.

        Args:
            paths: at least one.
        """
        ...

    def weight(self, step_scores: Sequence[float]) -> float:
        """How much the answer of a path counts in the vote: as published, the score of its last step.

        Args:
            step_scores: of the path's steps, those without a score left out.

        Returns:
            A weight >= 0.
        """
        return max(0.0, step_scores[-1]) if step_scores else 0.0


async def outcomes_of(scorer: Scorer, paths: Sequence[ScoredPath]) -> Sequence[PathScore | ScoreFailure]:
    """What a scorer says of paths.

    Args:
        scorer: who is asked.
        paths: which.

    Raises:
        ValueError: it gave more outcomes or fewer, so that nobody knows which of them is whose.
    """
    outcomes = await scorer.score(paths)
    if len(outcomes) != len(paths):
        raise ValueError(f"the scorer {scorer.name!r} gave {len(outcomes)} outcomes for {len(paths)} paths")
    return outcomes
