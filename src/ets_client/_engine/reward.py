"""Scores of many prefixes by a reward head, in one request."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from .._wire.reward import read_rewards, reward_body
from ..scores import RewardScore, ScoreFailure
from .caller import Outgoing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..prefix import Prefix
    from .caller import Caller
    from .deadline import Deadline

__all__ = ["Rewards"]


class Rewards:
    """Asks one server's reward head."""

    def __init__(self, caller: Caller, max_input_tokens: int) -> None:
        """Make it.

        Args:
            caller: how to ask.
            max_input_tokens: prompts must be shorter.
        """
        self._caller = caller
        self._max_input_tokens = max_input_tokens

    async def scores(self, prefixes: Sequence[Prefix], deadline: Deadline) -> list[RewardScore | ScoreFailure]:
        """See :meth:`AsyncPolicyClient.reward_scores`."""
        limit = self._max_input_tokens
        outcomes: list[RewardScore | ScoreFailure] = [
            ScoreFailure(f"{len(prefix)} tokens; this server takes at most {limit - 1}") for prefix in prefixes
        ]
        places = [place for place, prefix in enumerate(prefixes) if len(prefix) < limit]
        if not places:
            return outcomes
        prompts = [prefixes[place].token_ids for place in places]

        def make() -> Outgoing:
            rids = tuple(uuid.uuid4().hex for _ in prompts)
            return Outgoing("POST", "/classify", reward_body(prompts, rids), rids)

        found = await self._caller.call(make, lambda body: read_rewards(body, len(prompts)), deadline)
        for place, values in zip(places, found, strict=True):
            missing = ScoreFailure("the server gave no numbers")
            outcomes[place] = missing if values is None else RewardScore(values)
        return outcomes
