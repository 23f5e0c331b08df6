"""Probabilities of label tokens after many prefixes, in one request."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .._core.guard import check_ids, check_text, is_items
from .._core.sharing import cold_parts
from .._together import together
from .._wire.labels import read_labels
from ..errors import InvalidRequestError, RequestRejectedError
from ..scores import LabelProbs, ScoreFailure
from .bisect import outcomes_of
from .requests import BatchRequests

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from ..prefix import Prefix
    from .caller import Caller
    from .deadline import Deadline
    from .requests import Requests
    from .server_cache import ServerCache
    from .tokenizers import Tokenizer

__all__ = ["Labels"]

_MOST_LABELS = 256  # each is a prompt of its own


class Labels:
    """Asks one server for label probabilities."""

    def __init__(
        self,
        caller: Caller,
        tokenizer: Tokenizer,
        vocab_size: int | None,
        max_input_tokens: int | None,
        cache: ServerCache,
        warm: Callable[[Prefix, Deadline], Coroutine[None, None, object]],
        requests: Requests | None = None,
    ) -> None:
        """Make it.

        Args:
            caller: how to ask.
            tokenizer: makes ids of labels that are given as text.
            vocab_size: ids below it exist, or None when nobody knows.
            max_input_tokens: prompts must be shorter; None when nobody knows, and the server refuses them.
            cache: what is known of the server's cache.
            warm: puts a prefix into the server's cache, once for all that ask at the same time.
            requests: how requests are written; as one batch when it is not given.
        """
        self._caller = caller
        self._tokenizer = tokenizer
        self._vocab_size = vocab_size
        # A label comes behind, and SGLang takes less than its maximum.
        self._most_tokens = math.inf if max_input_tokens is None else max_input_tokens - 2
        self._cache = cache
        self._warm = warm
        self._requests = requests or BatchRequests()

    async def probs(
        self, prefixes: Sequence[Prefix], labels: Sequence[str | int], deadline: Deadline
    ) -> list[LabelProbs | ScoreFailure]:
        """See :meth:`AsyncPolicyClient.label_probs`."""
        if not prefixes:
            return []
        async with deadline.limit("the labels were not tokenised"):
            ids = await self._ids(labels)
        too_long = "{} tokens; with a label behind them this server takes at most {}"
        outcomes: list[LabelProbs | ScoreFailure] = [
            ScoreFailure(too_long.format(len(prefix), self._most_tokens)) for prefix in prefixes
        ]
        places = [place for place, prefix in enumerate(prefixes) if len(prefix) <= self._most_tokens]
        if not places:
            return outcomes
        fitting = [prefixes[place] for place in places]
        await together(self._warm(part, deadline) for part in cold_parts(fitting, len(ids), self._cache.held))
        found = await outcomes_of(fitting, self._requests.together, lambda some: self._logprobs(some, ids, deadline))
        for place, logprobs in zip(places, found, strict=True):
            if isinstance(logprobs, RequestRejectedError):
                outcomes[place] = ScoreFailure(logprobs.message)
                continue
            missing = ScoreFailure("the server gave no log-probabilities for the labels")
            outcomes[place] = missing if logprobs is None else LabelProbs(ids, logprobs)
        return outcomes

    async def _logprobs(
        self, prefixes: Sequence[Prefix], ids: tuple[int, ...], deadline: Deadline
    ) -> list[tuple[float, ...] | None]:
        probes, books = len(prefixes) * len(ids), self._cache.books
        try:
            reply = await self._caller.call(
                lambda: self._requests.labels(prefixes, ids),
                lambda body: read_labels(body, len(prefixes), ids),
                deadline,
            )
        except BaseException:
            books.unanswered_probes(probes)
            raise
        books.probed(probes, reply.prompt_tokens, reply.cached_tokens)
        for prefix, logprobs in zip(prefixes, reply.logprobs, strict=True):
            if logprobs is not None:
                self._cache.saw(prefix)
        return reply.logprobs

    async def _ids(self, labels: Sequence[str | int]) -> tuple[int, ...]:
        if not is_items(labels) or not 1 <= len(labels) <= _MOST_LABELS:
            raise InvalidRequestError("labels", labels, f'a list of 1 to {_MOST_LABELS} labels, such as ["+", "-"]')
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
