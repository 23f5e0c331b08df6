"""What this client knows of the server's cache, and who waits there for whom."""

from __future__ import annotations

import asyncio
import warnings
from typing import TYPE_CHECKING

from .._core.shadow import Shadow
from .._core.shortfall import describe_shortfall, is_large
from ..stats import ReuseShortfallWarning
from .bookkeeper import ACCOUNT, Bookkeeper

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core.ranks import Ranks
    from .._core.shadow import Reuse
    from .._core.shadow_sample import RunningSample
    from .._wire.generate import WireSample
    from ..prefix import Prefix
    from .counters import Counters
    from .deadline import Deadline
    from .pending import PendingCall

__all__ = ["SentSamples", "ServerCache"]

_WORTH_WAITING_TOKENS = 16  # a shared part shorter than this is computed again rather than waited for
_LEAST_PATIENCE = 1.0  # seconds; a prefill takes less, but a busy event loop may hear of it late


class ServerCache:
    """The shadow of the cache, told of every sample; and single flight: a cold part is computed by one of them.

    Attributes:
        books: where what samples cost is written down.
    """

    def __init__(
        self,
        shadow: Shadow,
        counters: Counters,
        seconds_of_prefill: Callable[[int], float],
        *,
        is_predictable: bool = True,
        books: Bookkeeper | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        """Know the cache as ``shadow`` does.

        Args:
            shadow: the model of it.
            counters: where predictions are added up.
            seconds_of_prefill: how long so many prompt tokens take.
            is_predictable: whether the server has one cache; of several, nobody knows which one is used.
            books: where what samples cost is written down.
            ranks: homes of trees, where the server has several data-parallel ranks; each has such a cache.
        """
        self.books = books or Bookkeeper()
        others = range(1, ranks.count if ranks is not None else 1)
        self._shadows = [shadow, *(Shadow(shadow.rules) for _ in others)]
        self._ranks = ranks
        self._counters = counters
        self._seconds_of_prefill = seconds_of_prefill
        self._is_predictable = is_predictable
        self._landings: dict[RunningSample, asyncio.Event] = {}
        self._has_warned = False

    @property
    def tokens(self) -> int:
        """Tokens that should be in the cache now."""
        return sum(shadow.stats.tokens for shadow in self._shadows)

    def cold(self, prefix: Prefix) -> int:
        """Tokens of a prefix that could be in the cache and should not be there now."""
        shadow = self._of(prefix)
        return shadow.rules.reusable(len(prefix)) - shadow.warm_length(prefix)

    def held(self, prefix: Prefix) -> int:
        """Tokens of a prefix that need not be computed ahead of several samples; all, when it is as warm as can be."""
        shadow = self._of(prefix)
        warm = shadow.warm_length(prefix)
        return len(prefix) if warm == shadow.rules.reusable(len(prefix)) else warm

    async def wait(self, prefix: Prefix, deadline: Deadline) -> int:
        """Wait while another sample computes a part of this prefix.

        A wait never lasts longer than computing the part would take, at the slowest pace seen lately: then whoever
        waits computes it, and those that wait with it wait for that one. A sample that is lost hands over likewise.
        Between the return of this and a call of :meth:`send` nothing may be awaited.

        Args:
            prefix: what will be sent.
            deadline: when to give up.

        Returns:
            Tokens that are cold then; see :meth:`cold`.

        Raises:
            DeadlineExceededError: it came first.
        """
        shadow = self._of(prefix)
        most = shadow.rules.reusable(len(prefix))
        while (cold := self.cold(prefix)) and (found := shadow.computing(prefix)) is not None:
            sample, length = found
            gained = length - (most - cold)
            if gained < _WORTH_WAITING_TOKENS and length < most:
                break
            landing = self._landings.setdefault(sample, asyncio.Event())
            patience = max(_LEAST_PATIENCE, self._seconds_of_prefill(gained))
            async with deadline.limit("the prefix was not prefilled"):
                try:
                    async with asyncio.timeout(patience):
                        await landing.wait()
                except TimeoutError:
                    shadow.forgo(sample)
                    self.landed(sample)
        return cold

    def send(self, prefix: Prefix, call: PendingCall | None = None) -> SentSamples:
        """A sample goes out whose first token will be told, so others can wait for it. Its reuse is predicted here.

        Args:
            prefix: its prompt.
            call: of a search, that asks for it, or None.
        """
        shadow = self._of(prefix)
        return SentSamples(self, shadow, prefix, None, [shadow.begin(prefix)], call)

    def send_batch(self, prefix: Prefix, samples: int, call: PendingCall | None = None) -> SentSamples:
        """Samples go out together, of which nothing is told before their ends. Their reuse is predicted here.

        Args:
            prefix: their prompt.
            samples: how many.
            call: of a search, that asks for them, or None.
        """
        shadow = self._of(prefix)
        return SentSamples(self, shadow, prefix, samples, shadow.begin_batch(prefix, samples), call)

    def send_if_warm(self, prefix: Prefix, samples: int, call: PendingCall | None = None) -> SentSamples | None:
        """:meth:`send_batch`, if nothing of the prefix is cold; else None, and nothing goes out."""
        shadow = self._of(prefix)
        running = shadow.begin_warm(prefix, samples)
        return None if running is None else SentSamples(self, shadow, prefix, samples, running, call)

    def saw(self, prefix: Prefix) -> None:
        """The server has computed a prefix."""
        shadow = self._of(prefix)
        (sample,) = shadow.begin_batch(prefix, 1)  # nobody can wait for what is over
        shadow.finish(sample, ())

    def clear(self) -> None:
        """The cache is empty: the server was flushed or started again."""
        for shadow in self._shadows:
            shadow.clear()
        for landing in self._landings.values():
            landing.set()
        self._landings.clear()

    def landed(self, sample: RunningSample) -> None:
        """Those that waited for a sample go on: its prompt is computed, or it is lost."""
        if self._landings and (landing := self._landings.pop(sample, None)) is not None:
            landing.set()

    def count(self, prefix: Prefix, reuse: Reuse) -> None:
        """Add up what a sample reused, and warn once when it is much less than it should be."""
        predicted, reported = reuse
        if reported is None:
            return
        counters = self._counters
        counters.predicted += predicted
        if reported >= predicted:
            return
        counters.shortfall += predicted - reported
        if not self._has_warned and self._is_predictable and is_large(counters.predicted, counters.shortfall):
            self._has_warned = True
            message = describe_shortfall(prefix, reuse, counters.predicted, counters.shortfall)
            warnings.warn(message, ReuseShortfallWarning, stacklevel=1)  # no line of the caller is at fault

    def _of(self, prefix: Prefix) -> Shadow:
        return self._shadows[0] if self._ranks is None else self._shadows[self._ranks.of(prefix)]

    def __repr__(self) -> str:
        return f"ServerCache({', '.join(map(repr, self._shadows))}, {len(self._landings)} waited for)"


class SentSamples:
    """The samples of one request, from before its POST to its reply or its loss."""

    __slots__ = ("_account", "_batch", "_cache", "_call", "_left", "_prefix", "_running", "_shadow")

    def __init__(
        self,
        cache: ServerCache,
        shadow: Shadow,
        prefix: Prefix,
        batch: int | None,
        running: list[RunningSample],
        call: PendingCall | None,
    ) -> None:
        """Know what has begun; :class:`ServerCache` makes them.

        Args:
            cache: who lets others wait for them.
            shadow: the model of the server's cache.
            prefix: their prompt.
            batch: how many of them go together; None for one whose first token will be told.
            running: the same as the model has them.
            call: of a search, that asks for them, or None.
        """
        self._cache = cache
        self._shadow = shadow
        self._prefix = prefix
        self._account = ACCOUNT.get()
        self._batch = batch
        self._call = call
        self._running = running
        self._left = len(running)

    def begin(self) -> None:
        """They go out again; what was sent before counts as lost."""
        self.lost()
        shadow, prefix, batch = self._shadow, self._prefix, self._batch
        self._running = [shadow.begin(prefix)] if batch is None else shadow.begin_batch(prefix, batch)
        self._left = len(self._running)

    def __getitem__(self, place: int) -> RunningSample:
        """A sample as the shadow of the cache has it."""
        return self._running[place]

    def prefilled(self, place: int = 0) -> None:
        """The first token of a sample is here."""
        sample = self._running[place]
        if not sample.is_prefilled:
            self._shadow.prefilled(sample)
            self._cache.landed(sample)

    def finish(self, place: int, *replies: WireSample) -> None:
        """Samples have ended, from ``place`` on, and these are their replies."""
        cache, shadow, running = self._cache, self._shadow, self._running
        self._left -= len(replies)
        is_wanted = self._call is None or self._call.pruned is None
        cache.books.answer(self._account, self._prefix, running[place].predicted, replies, is_wanted=is_wanted)
        for sample, reply in zip(running[place:], replies, strict=False):
            meta, finish = reply.meta_info, reply.meta_info.finish_reason
            if meta.weight_version is not None:
                shadow.saw_weights(meta.weight_version)
            if finish is not None and finish.type == "abort" and not reply.output_ids:  # perhaps it never ran
                shadow.lost(sample)
            else:
                # A reply without prompt_tokens tells nothing of the cache either.
                reported = meta.cached_tokens if meta.prompt_tokens else None
                cache.count(self._prefix, shadow.finish(sample, reply.output_ids, reported))
            cache.landed(sample)

    def lost(self) -> None:
        """What has not ended is lost. Others that waited for it go on."""
        if not self._left:
            return
        self._cache.books.unanswered(self._account, self._prefix, self._left)
        self._left = 0
        for sample in self._running:
            self._shadow.lost(sample)
            self._cache.landed(sample)
