"""Scores of many prefixes by a reward head, in one request."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .._wire.reward import read_rewards, reward_body
from ..scores import RewardScore
from .bisect import outcomes_of
from .outgoing import Outgoing
from .rids import new_rids
from .scoring import Scoring

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._wire.verdict import Verdict
    from ..prefix import Prefix
    from ..scores import ScoreFailure
    from .caller import Caller
    from .deadline import Deadline
    from .scoring import Outcome

__all__ = ["Rewards"]


class Rewards:
    """Asks one server's reward head."""

    def __init__(self, caller: Caller, max_input_tokens: int | None) -> None:
        """Make it.

        Args:
            caller: how to ask.
            max_input_tokens: prompts must be shorter; None when nobody knows, and the server refuses them.
        """
        self._caller = caller
        self._scoring = Scoring(
            math.inf if max_input_tokens is None else max_input_tokens - 1,
            too_long="this server takes at most",
            missing="numbers",
        )

    async def scores(self, prefixes: Sequence[Prefix], deadline: Deadline) -> list[RewardScore | ScoreFailure]:
        """See :meth:`AsyncPolicyClient.reward_scores`."""

        async def ask(fitting: Sequence[Prefix]) -> list[Outcome]:
            return await outcomes_of(fitting, lambda _: None, lambda some: self._values(some, deadline))

        return await self._scoring.scores(prefixes, ask, RewardScore)

    async def _values(self, prefixes: Sequence[Prefix], deadline: Deadline) -> list[Verdict]:
        prompts = [prefix.token_ids for prefix in prefixes]

        def make() -> Outgoing:
            rids = new_rids(len(prompts))
            return Outgoing("POST", "/classify", reward_body(prompts, rids), rids)

        return await self._caller.call(make, lambda body: read_rewards(body, len(prompts)), deadline)
