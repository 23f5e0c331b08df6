"""Scores of many prefixes by a reward head, in one request."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .._wire.reward import read_rewards, reward_body
from ..errors import RequestRejectedError
from ..scores import RewardScore, ScoreFailure
from .bisect import outcomes_of
from .outgoing import Outgoing
from .rids import new_rids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..prefix import Prefix
    from .caller import Caller
    from .deadline import Deadline

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
        self._most = math.inf if max_input_tokens is None else max_input_tokens

    async def scores(self, prefixes: Sequence[Prefix], deadline: Deadline) -> list[RewardScore | ScoreFailure]:
        """See :meth:`AsyncPolicyClient.reward_scores`."""
        outcomes: list[RewardScore | ScoreFailure] = [
            ScoreFailure(f"{len(prefix)} tokens; this server takes at most {self._most - 1}") for prefix in prefixes
        ]
        places = [place for place, prefix in enumerate(prefixes) if len(prefix) < self._most]
        if not places:
            return outcomes
        fitting = [prefixes[place] for place in places]
        found = await outcomes_of(fitting, lambda _: None, lambda some: self._values(some, deadline))
        for place, values in zip(places, found, strict=True):
            if isinstance(values, RequestRejectedError):
                outcomes[place] = ScoreFailure(values.message)
            else:
                outcomes[place] = ScoreFailure("the server gave no numbers") if values is None else RewardScore(values)
        return outcomes

    async def _values(self, prefixes: Sequence[Prefix], deadline: Deadline) -> list[tuple[float, ...] | None]:
        prompts = [prefix.token_ids for prefix in prefixes]

        def make() -> Outgoing:
            rids = new_rids(len(prompts))
            return Outgoing("POST", "/classify", reward_body(prompts, rids), rids)

        return await self._caller.call(make, lambda body: read_rewards(body, len(prompts)), deadline)
