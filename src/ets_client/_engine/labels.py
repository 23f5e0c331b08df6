"""Probabilities of label tokens after many prefixes, in one request."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .._core.guard import check_ids, check_text, is_items
from .._wire.labels import read_label_logprobs
from ..errors import InvalidRequestError
from ..scores import LabelProbs, ScoreFailure
from .requests import BatchRequests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..prefix import Prefix
    from .caller import Caller
    from .deadline import Deadline
    from .requests import Requests
    from .tokenizers import Tokenizer

__all__ = ["Labels"]


class Labels:
    """Asks one server for label probabilities."""

    def __init__(
        self,
        caller: Caller,
        tokenizer: Tokenizer,
        vocab_size: int | None,
        max_input_tokens: int | None,
        requests: Requests | None = None,
    ) -> None:
        """Make it.

        Args:
            caller: how to ask.
            tokenizer: makes ids of labels that are given as text.
            vocab_size: ids below it exist, or None when nobody knows.
            max_input_tokens: prompts must be shorter; None when nobody knows, and the server refuses them.
            requests: how requests are written; as one batch when it is not given.
        """
        self._caller = caller
        self._tokenizer = tokenizer
        self._vocab_size = vocab_size
        self._most = math.inf if max_input_tokens is None else max_input_tokens
        self._requests = requests or BatchRequests()

    async def probs(
        self, prefixes: Sequence[Prefix], labels: Sequence[str | int], deadline: Deadline
    ) -> list[LabelProbs | ScoreFailure]:
        """See :meth:`AsyncPolicyClient.label_probs`."""
        if not prefixes:
            return []
        async with deadline.limit("the labels were not tokenised"):
            ids = await self._ids(labels)
        outcomes: list[LabelProbs | ScoreFailure] = [
            ScoreFailure(f"{len(prefix)} tokens; this server takes at most {self._most - 1}") for prefix in prefixes
        ]
        fitting = [place for place, prefix in enumerate(prefixes) if len(prefix) < self._most]
        if not fitting:
            return outcomes
        asked = [prefixes[place] for place in fitting]
        found = await self._caller.call(
            lambda: self._requests.labels(asked, ids),
            lambda body: read_label_logprobs(body, len(asked), ids),
            deadline,
        )
        for place, logprobs in zip(fitting, found, strict=True):
            missing = ScoreFailure("the server gave no log-probabilities for the labels")
            outcomes[place] = missing if logprobs is None else LabelProbs(ids, logprobs)
        return outcomes

    async def _ids(self, labels: Sequence[str | int]) -> tuple[int, ...]:
        if not is_items(labels) or not labels:
            raise InvalidRequestError("labels", labels, 'a list of at least one label, such as ["+", "-"]')
        ids: list[int] = []
        for place, label in enumerate(labels):
            if not isinstance(label, str):
                ids += check_ids([label], self._vocab_size)
                continue
            found = await self._tokenizer.encode(check_text(label, f"labels[{place}]"), add_special_tokens=False)
            if len(found) != 1:
                raise InvalidRequestError(
                    f"labels[{place}]", label, f"text that is one token; this is {len(found)}: {list(found)}"
                )
            ids += found
        if len(set(ids)) != len(ids):
            raise InvalidRequestError("labels", list(labels), "labels that are different tokens")
        return tuple(ids)
