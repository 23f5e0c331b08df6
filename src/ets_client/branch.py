"""What comes back from the policy: branches, and the expansion that holds them."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, overload

from ._record import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .errors import RequestError
    from .logprobs import Logprobs
    from .prefix import Prefix
    from .sampling import SamplingParams
    from .usage import Usage

__all__ = ["Branch", "EndReason", "Expansion", "SampleFailure"]


class EndReason(StrEnum):
    """Why a step ended."""

    DELIMITER = "delimiter"  # a stop string: the profile's step delimiter or one that the call gave
    STOP_TOKEN = "stop_token"  # noqa: S105 - one of the call's stop token ids
    STOP_REGEX = "stop_regex"
    EOS = "eos"
    STEP_LENGTH = "step_length"
    PATH_LENGTH = "path_length"  # the path, the context window or the server's cache has no room for more
    ABORTED = "aborted"
    FAILED = "failed"  # the server says that the model broke (NaN), though it answered
    UNKNOWN = "unknown"  # a reason that this version does not know


class Branch(Record, frozen=True):
    """One sampled step.

    Attributes:
        text: the step's text without the stop string that ended it.
        token_ids: the step's token ids as generated, stop tokens included: what the server's cache holds.
        prefix: the path with this step; expand it to go on.
        end: why the step ended.
        matched: the stop string, the pattern or the token id that ended it, or None.
        overshoot: characters that the last token carries after the stop string. They belong to ``token_ids`` and to
            ``prefix``, not to ``text``.
        usage: tokens of this sample.
        rid: request id of this sample in the server's log.
        logprobs: when they were asked for, else None.
        predicted_cached_tokens: what ``usage.cached_tokens`` should have been, by the client's model of the server's
            cache, as it was when the sample was sent; None when nobody predicted.
    """

    text: str
    token_ids: tuple[int, ...]
    prefix: Prefix
    end: EndReason
    matched: str | int | None
    overshoot: str
    usage: Usage
    rid: str
    logprobs: Logprobs | None = None
    predicted_cached_tokens: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether it makes sense to go on from here: the step ended, the text did not."""
        return self.end in {EndReason.DELIMITER, EndReason.STOP_TOKEN, EndReason.STOP_REGEX, EndReason.STEP_LENGTH}


class SampleFailure(Record, frozen=True):
    """A sample of a partial expansion that did not end.

    Attributes:
        index: which of the ``n``, from 0.
        error: why.
    """

    index: int
    error: RequestError


class Expansion(Record, frozen=True):
    """The ``n`` branches of one expand, in the order of their seeds. A sequence of :class:`Branch`.

    Attributes:
        prefix: what was expanded.
        branches: exactly ``n`` of them, whatever ``n`` is; with ``partial="return"`` those that ended.
        plan: how it was asked, and why, in one line.
        warm_usage: tokens of requests without output that put the prefix into the cache; zero when there was none.
        seconds: from the call to the reply.
        sampling: all fields as they were sent. ``sampling.seed`` is the first branch's; branch ``i`` had ``seed + i``.
        failures: samples that did not end, with ``partial="return"``; they are missing in ``branches``.
    """

    prefix: Prefix
    branches: tuple[Branch, ...]
    plan: str
    warm_usage: Usage
    seconds: float
    sampling: SamplingParams
    failures: tuple[SampleFailure, ...] = ()

    @property
    def usage(self) -> Usage:
        """Tokens of all samples and of requests that only warmed the prefix."""
        return sum((branch.usage for branch in self.branches), start=self.warm_usage)

    @property
    def predicted_cached_tokens(self) -> int | None:
        """What ``cached_tokens`` of all samples should have been together; None when one was not predicted."""
        predicted = [branch.predicted_cached_tokens for branch in self.branches]
        known = [tokens for tokens in predicted if tokens is not None]
        return sum(known) if len(known) == len(predicted) else None

    def __len__(self) -> int:
        return len(self.branches)

    def __iter__(self) -> Iterator[Branch]:
        return iter(self.branches)

    @overload
    def __getitem__(self, index: int) -> Branch: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Branch, ...]: ...
    def __getitem__(self, index: int | slice) -> Branch | tuple[Branch, ...]:
        return self.branches[index]
