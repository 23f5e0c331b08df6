"""One sample on its way through the scheduler. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from .model import Continuation
    from .radix import Node
    from .sampling import Sampling
    from .stops import Finish

__all__ = ["Job", "LogprobWishes"]


@dataclass(frozen=True, slots=True)
class LogprobWishes:
    """Which log-probabilities a reply holds.

    Attributes:
        start: prompt position from which they begin, or -1 for the output alone.
        top: most probable tokens shown at each position.
        of_tokens: tokens whose values are shown at each position.
        with_text: whether each comes with its text.
    """

    start: int = -1
    top: int = 0
    of_tokens: tuple[int, ...] | None = None
    with_text: bool = False


@dataclass(slots=True, eq=False)
class Job:
    """A sample.

    Attributes:
        rid: its request id at the scheduler.
        prompt: the prompt.
        sampling: its parameters.
        most: tokens that it may have, after clipping.
        namespace: of the cache.
        logprobs: what is wanted, or None.
        names_label_ids: whether its request has ``token_ids_logprob``.
        stream: whether its tokens are wanted as they come.
        on_update: called when it has news: at its end, and in a stream at each token.
        order: place in the order of arrivals.
        output: tokens so far.
        cached: prompt tokens found in the cache when it was first admitted; None before.
        filled: tokens of :attr:`ids` whose KV is there.
        node: where its part of the tree ends, while it holds a lock.
        held: KV tokens that are its own, outside the tree.
        finish: how it ended.
        ending: an abort that its next token will carry out.
        retractions: how often it lost its place.
        submitted: when it came; the other times likewise.
    """

    rid: str
    prompt: list[int]
    sampling: Sampling
    most: int
    on_update: Callable[[Job], None]
    namespace: Hashable = None
    logprobs: LogprobWishes | None = None
    names_label_ids: bool = False
    stream: bool = False
    order: int = 0
    output: list[int] = field(default_factory=list[int])
    output_logprobs: list[float] = field(default_factory=list[float])
    continuation: Continuation | None = None
    cached: int | None = None
    filled: int = 0
    node: Node | None = None
    held: int = 0
    finish: Finish | None = None
    ending: Finish | None = None
    retractions: int = 0
    submitted: float = 0.0
    admitted: float = 0.0
    first_token: float = 0.0
    finished: float = 0.0

    @property
    def ids(self) -> list[int]:
        """Prompt and output."""
        return self.prompt + self.output

    @property
    def length(self) -> int:
        """Tokens of prompt and output."""
        return len(self.prompt) + len(self.output)

    @property
    def most_matched(self) -> int:
        """Tokens that may come from the cache: the last one is always computed, and those whose logprobs are wanted."""
        limit = self.length - 1
        if self.logprobs is not None and self.logprobs.start >= 0:
            limit = min(limit, self.logprobs.start)
        return limit

    def __repr__(self) -> str:
        state = self.finish.reason["type"] if self.finish else "running" if self.admitted else "waiting"
        return f"Job({self.rid}, {len(self.prompt)}+{len(self.output)} tokens, {state})"
