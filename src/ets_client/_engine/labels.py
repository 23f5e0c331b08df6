"""Probabilities of label tokens after many prefixes, and the choice among them, in one request."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from .._core.guard import check_ids, check_text, is_items
from .._core.sharing import cold_parts
from .._together import together
from .._wire.labels import read_choices, read_labels
from ..errors import InvalidRequestError
from ..scores import LabelChoice, LabelProbs, ScoreFailure
from ..usage import Usage
from .bisect import outcomes_of
from .requests import BatchRequests
from .scoring import Scoring

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import TypeAlias

    from .._wire.verdict import Verdict
    from ..prefix import Prefix
    from .caller import Caller
    from .deadline import Deadline
    from .outgoing import Outgoing
    from .requests import Requests
    from .scoring import Meaning, Outcome
    from .server_cache import ServerCache
    from .tokenizers import Tokenizer

    Write: TypeAlias = Callable[[Sequence[Prefix]], Outgoing]
    Read: TypeAlias = Callable[[bytes, int], list[Verdict]]

__all__ = ["Labels"]

S = TypeVar("S")

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
        self._scoring = Scoring(
            # A label comes behind, and SGLang takes less than its maximum.
            math.inf if max_input_tokens is None else max_input_tokens - 2,
            too_long="with a label behind them this server takes at most",
            missing="log-probabilities for the labels",
        )
        self._cache = cache
        self._warm = warm
        self._requests = requests or BatchRequests()

    async def probs(
        self, prefixes: Sequence[Prefix], labels: Sequence[str | int], deadline: Deadline
    ) -> list[LabelProbs | ScoreFailure]:
        """See :meth:`AsyncPolicyClient.label_probs`."""
        if not prefixes:
            return []
        ids = await self._ids(labels, deadline)

        def write(some: Sequence[Prefix]) -> Outgoing:
            return self._requests.labels(some, ids)

        read = partial(read_labels, labels=ids)
        return await self._scores(prefixes, len(ids), write, read, partial(LabelProbs, ids), deadline)

    async def choices(
        self, prefixes: Sequence[Prefix], labels: Sequence[str | int], deadline: Deadline
    ) -> list[LabelChoice | ScoreFailure]:
        """See :meth:`AsyncPolicyClient.label_choices`."""
        if not prefixes:
            return []
        ids = await self._ids(labels, deadline)
        if self._requests.shape == "router":
            return await self._choices_of_probs(prefixes, ids, deadline)

        def write(some: Sequence[Prefix]) -> Outgoing:
            return self._requests.choices(some, ids)

        read = partial(read_choices, labels=ids)
        return await self._scores(prefixes, 1, write, read, partial(LabelChoice, ids), deadline)

    async def _choices_of_probs(
        self, prefixes: Sequence[Prefix], ids: tuple[int, ...], deadline: Deadline
    ) -> list[LabelChoice | ScoreFailure]:
        """One label after the other: in one request all of a prefix's prompts would compute what is cold of it."""
        columns = [await self.probs(prefixes, [label], deadline) for label in ids]
        return [_choice(ids, row) for row in zip(*columns, strict=True)]

    async def _scores(
        self,
        prefixes: Sequence[Prefix],
        rows: int,
        write: Write,
        read: Read,
        score: Meaning[S],
        deadline: Deadline,
    ) -> list[S | ScoreFailure]:
        """A score of each prefix, or why it has none.

        Args:
            prefixes: all of them.
            rows: prompts that each of them is in a request.
            write: one request for some of them.
            read: its reply, to so many of them.
            score: what the numbers of one mean.
            deadline: the end of all of it.
        """

        async def ask(some: Sequence[Prefix]) -> list[Verdict]:
            return await self._ask(some, rows, write, read, deadline)

        async def ask_warm(fitting: Sequence[Prefix]) -> list[Outcome]:
            await together(self._warm(part, deadline) for part in cold_parts(fitting, rows, self._cache.held))
            return await outcomes_of(fitting, self._requests.together, ask)

        return await self._scoring.scores(prefixes, ask_warm, score)

    async def _ask(
        self, prefixes: Sequence[Prefix], rows: int, write: Write, read: Read, deadline: Deadline
    ) -> list[Verdict]:
        """One request, written down in the books; what it computed is in the server's cache then."""
        probes, books = len(prefixes) * rows, self._cache.books
        try:
            verdicts = await self._caller.call(
                lambda: write(prefixes), lambda body: read(body, len(prefixes)), deadline
            )
        except BaseException:
            books.unanswered_probes(probes)
            raise
        spent = sum((verdict.usage for verdict in verdicts), Usage())
        books.probed(probes, spent.prompt_tokens, spent.cached_tokens)
        for prefix, verdict in zip(prefixes, verdicts, strict=True):
            if verdict.numbers is not None:
                self._cache.saw(prefix)
        return verdicts

    async def _ids(self, labels: Sequence[str | int], deadline: Deadline) -> tuple[int, ...]:
        async with deadline.limit("the labels were not tokenised"):
            return await self._tokenised(labels)

    async def _tokenised(self, labels: Sequence[str | int]) -> tuple[int, ...]:
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


def _choice(ids: tuple[int, ...], row: Sequence[LabelProbs | ScoreFailure]) -> LabelChoice | ScoreFailure:
    logprobs: list[float] = []
    usage = Usage()
    for outcome in row:
        if isinstance(outcome, ScoreFailure):
            return outcome
        logprobs += outcome.logprobs
        usage += outcome.usage
    return LabelChoice(ids, LabelProbs(ids, tuple(logprobs)).probs, usage)
