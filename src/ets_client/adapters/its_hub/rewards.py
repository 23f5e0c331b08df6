"""its_hub's reward models, fulfilled by a search's scorer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from its_hub.api import (  # pyright: ignore[reportMissingTypeStubs]
    AbstractOutcomeRewardModel,
    AbstractProcessRewardModel,
    ChatMessages,
)

from ...errors import EtsClientError
from ...scores import ScoreFailure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from its_hub.api import ChatMessage  # pyright: ignore[reportMissingTypeStubs]

    from ...search.scorers import PathScore, ScoredPath
    from .language_model import Messages, PolicyLanguageModel

__all__ = ["OutcomeReward", "ProcessReward"]


class _Reward:
    """Scores responses that a language model wrote, each different one once."""

    def __init__(
        self,
        model: PolicyLanguageModel,
        score: Callable[[Sequence[ScoredPath]], Awaitable[Sequence[PathScore | ScoreFailure]]],
        *,
        scale: Callable[[float], float] | None = None,
        missing: float | None = None,
    ) -> None:
        self._model = model
        self._score = score
        self._scale = scale
        self._missing = missing

    async def _scores(self, responses: Sequence[Messages]) -> list[float]:
        paths = [await self._model.scored_path(messages) for messages in responses]
        unique = list({path.prefix: path for path in paths}.values())
        outcomes: Sequence[PathScore | ScoreFailure] = await self._score(unique) if unique else ()
        values = {path.prefix: self._value(outcome) for path, outcome in zip(unique, outcomes, strict=True)}
        return [values[path.prefix] for path in paths]

    def _value(self, outcome: PathScore | ScoreFailure) -> float:
        if isinstance(outcome, ScoreFailure):
            if self._missing is None:
                raise EtsClientError(
                    f"a response could not be scored: {outcome.reason}; missing= gives such ones a score instead"
                )
            return self._missing
        return outcome.value if self._scale is None else self._scale(outcome.value)


class ProcessReward(_Reward, AbstractProcessRewardModel):
    """A scorer as its_hub's process reward model, for BeamSearch and the particle filters.

    ::

        reward = ProcessReward(model, scorer.score, scale=math.exp)

    The scorer sees the very tokens and steps that the policy wrote. Each different path is scored once.

    Args:
        model: the language model of the search.
        score: scores paths, as :meth:`ets_client.search.scorers.Scorer.score` does.
        scale: makes of a score what its_hub gets; particle filters want 0 to 1. None leaves it.
        missing: the score of a path that could not be scored; None raises :class:`EtsClientError`.
    """

    async def ascore(self, prompt_or_messages: str | list[ChatMessage] | ChatMessages, steps: list[str]) -> list[float]:
        """Score responses to one prompt.

        Args:
            prompt_or_messages: the prompt, or a conversation.
            steps: responses, each with all its steps, as its_hub's algorithms give them.
        """
        asked = ChatMessages.from_prompt_or_messages(prompt_or_messages).to_chat_messages()
        return await self._scores([[*asked, {"role": "assistant", "content": text}] for text in steps])

    def score(self, prompt_or_messages: str | list[ChatMessage] | ChatMessages, steps: list[str]) -> list[float]:
        """:meth:`ascore` where no event loop runs, in a loop of its own.

        Args:
            prompt_or_messages: the prompt, or a conversation.
            steps: responses.
        """
        return asyncio.run(self.ascore(prompt_or_messages, steps))


class OutcomeReward(_Reward, AbstractOutcomeRewardModel):
    """A scorer as its_hub's outcome reward model, for BestOfN.

    Args:
        model: the language model of the search.
        score: scores paths, as :meth:`ets_client.search.scorers.Scorer.score` does.
        scale: makes of a score what its_hub gets; None leaves it.
        missing: the score of a path that could not be scored; None raises :class:`EtsClientError`.
    """

    async def ascore(self, messages: Any, orchestrator: object = None, **_: Any) -> float | list[float]:  # noqa: ARG002
        """Score responses to a conversation each.

        Args:
            messages: a conversation that ends with the response, or a list of them.
            orchestrator: not used: a scorer knows how many paths it sends at once.
        """
        given = messages.to_chat_messages() if isinstance(messages, ChatMessages) else messages
        is_batch = isinstance(given[0], list | tuple)
        scores = await self._scores(cast("Sequence[Messages]", given if is_batch else [given]))
        return scores if is_batch else scores[0]

    def score(self, messages: Any, **_: Any) -> float | list[float]:
        """:meth:`ascore` where no event loop runs, in a loop of its own.

        Args:
            messages: a conversation that ends with the response, or a list of them.
        """
        return asyncio.run(self.ascore(messages))
