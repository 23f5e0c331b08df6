"""The samples of one expand: planned by what the server's cache holds, sent, and planned anew before a resend."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from .._core.pace import Work
from .._core.plan import plan_expand
from .._wire.generate import read_samples
from .._wire.logprobs import logprobs_of_samples
from .._wire.stream import read_streamed_sample, shows_a_token
from ..usage import Usage
from .branches import Found

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from .._core.limits import StepLimit
    from .._core.plan import ExpandPlan
    from .._wire.generate import WireSample
    from ..logprobs import Logprobs
    from .dispatcher import Dispatcher
    from .expander import ExpandRequest
    from .means import Means
    from .outgoing import Outgoing
    from .pending import PendingCall
    from .server_cache import SentSamples

__all__ = ["FanOut", "Sampling", "at_their_ends", "work_of"]

Sampling = list[dict[str, Any]]  # SGLang's fields, one a sample

_NOTHING = Usage()


class FanOut:
    """Gets the samples of one expand.

    Attributes:
        call: of a search, that it is, or None.
        reason: of the first plan.
        warmed: tokens of requests without output.
    """

    __slots__ = ("_means", "_request", "call", "reason", "warmed")

    def __init__(self, means: Means, request: ExpandRequest, call: PendingCall | None = None) -> None:
        """Plan nothing yet.

        Args:
            means: what it works with.
            request: the expand.
            call: of a search, that it is; None for one that nobody prunes.
        """
        self._means = means
        self._request = request
        self.call = call
        self.reason = ""
        self.warmed = _NOTHING

    def sample(self, sampling: Sampling) -> Coroutine[None, None, list[Found]]:
        """Get a sample for each of ``sampling``, in order. It is to be awaited at once.

        Raises:
            RequestError: it failed.
        """
        n = len(sampling)
        means = self._means
        sent = None
        if means.dispatcher is None:
            sent = means.cache.send_if_warm(self._request.prefix, n, self.call)
        if sent is None:
            return self._sample_planned(sampling)
        self._decide(n, 0)
        return self._ask(_Post(self, sampling, sent))

    async def plan(self, n: int) -> ExpandPlan:
        """Wait for what others compute, and decide. What it says of the cache holds until the next await.

        Args:
            n: samples that are still to be sent.
        """
        request = self._request
        return self._decide(n, await self._means.cache.wait(request.prefix, request.deadline))

    def leave(self, n: int) -> Coroutine[None, None, ExpandPlan]:
        """:meth:`plan` of a first try, which leaves with others where the client has departures. Await it at once.

        Args:
            n: samples that are still to be sent.
        """
        dispatcher = self._means.dispatcher
        return self.plan(n) if dispatcher is None else self._leave_with_others(n, dispatcher)

    async def again(self, n: int, sent: SentSamples) -> None:
        """Before a resend: the last try is lost, and the server may have been started again since.

        Args:
            n: samples.
            sent: as the cache sees them.
        """
        sent.lost()
        plan = await self.plan(n)
        if plan.first is not None and n > 1:
            await self.warm()
        sent.begin()

    @property
    def means(self) -> Means:
        """What it works with."""
        return self._means

    @property
    def request(self) -> ExpandRequest:
        """The expand."""
        return self._request

    def _decide(self, n: int, cold: int) -> ExpandPlan:
        plan = plan_expand(n, cold, self._means.requests.shape)
        if not self.reason:
            self.reason = plan.reason
        return plan

    async def warm(self) -> None:
        """Put the prefix into the cache by a request without output."""
        self.warmed += await self._means.warm(self._request.prefix, self._request.deadline, self.call)

    async def warm_ahead(self, n: int) -> None:
        """:meth:`warm`, ahead of so many samples of a first try, which leave with others. They go right behind it."""
        await self.warm()
        if self._means.dispatcher is not None:
            await self._leave_with_others(n, self._means.dispatcher)

    async def _leave_with_others(self, n: int, dispatcher: Dispatcher) -> ExpandPlan:
        cache, request = self._means.cache, self._request
        cold = await cache.wait(request.prefix, request.deadline)
        while not dispatcher.leaves(n):
            await dispatcher.departure(n, request.deadline)
            cold = await cache.wait(request.prefix, request.deadline)  # may last: one that left just before computes it
        return self._decide(n, cold)

    async def _sample_planned(self, sampling: Sampling) -> list[Found]:
        n = len(sampling)
        plan = await self.leave(n)
        if plan.first == "leader":
            return await self._lead(sampling)
        if plan.first == "prefill":
            await self.warm_ahead(n)
        sent = self._means.cache.send_batch(self._request.prefix, n, self.call)
        return await self._ask(_Post(self, sampling, sent))

    async def _lead(self, sampling: Sampling) -> list[Found]:
        """The first sample computes the cold part and says so by its first token; the others are planned anew then."""
        leader = _Leader(self, sampling[:1], self._means.cache.send(self._request.prefix, self.call))
        if len(sampling) == 1:
            return await self._ask(leader)
        try:
            async with asyncio.TaskGroup() as group:
                first = group.create_task(self._ask(leader))
                await leader.seen.wait()
                await asyncio.sleep(0)  # where a leader that failed ends this group before anything more is sent
                others = await self.sample(sampling[1:])
        except ExceptionGroup as failed:
            error = failed.exceptions[0]
            raise error from error.__cause__
        finally:
            leader.sent.lost()  # a task that is cancelled before it runs ends nothing itself
        return first.result() + others

    async def _ask(self, post: _Post) -> list[Found]:
        request = self._request
        try:
            return post.found(
                await self._means.caller.exchange(post, request.deadline, work_of(request, post.n), self.call)
            )
        finally:
            post.over()


class _Post:
    """One request, through all its tries.

    Attributes:
        n: its samples.
        sent: the same as the cache sees them.
    """

    __slots__ = ("_fan_out", "_sampling", "n", "sent")

    def __init__(self, fan_out: FanOut, sampling: Sampling, sent: SentSamples) -> None:
        self.n = len(sampling)
        self.sent = sent
        self._fan_out = fan_out
        self._sampling = sampling

    @property
    def first(self) -> Callable[[bytes], bool] | None:
        return None

    def write(self) -> Outgoing:
        request = self._fan_out.request
        return self._fan_out.means.requests.samples(request.prefix, self._sampling, logprobs=request.logprobs)

    def read(self, body: bytes) -> list[tuple[WireSample, Logprobs | None]]:
        samples = read_samples(body, self.n)
        if self._fan_out.request.logprobs is None:
            return [(sample, None) for sample in samples]
        return list(zip(samples, logprobs_of_samples(body, self.n), strict=True))

    def did(self, samples: list[tuple[WireSample, Logprobs | None]]) -> Work:
        longest = max(len(sample.output_ids) for sample, _ in samples)
        return Work(len(samples), longest, samples[0][0].meta_info.prompt_tokens)

    async def again(self) -> None:
        await self._fan_out.again(self.n, self.sent)

    def found(self, samples: list[tuple[WireSample, Logprobs | None]]) -> list[Found]:
        sent = self.sent
        sent.finish(0, *[sample for sample, _ in samples])
        return [Found(sample, logprobs, sent[place]) for place, (sample, logprobs) in enumerate(samples)]

    def over(self) -> None:
        """Whatever came of it, nothing more comes."""
        self.sent.lost()


class _Leader(_Post):
    """A request for one sample, which streams so that its first token can be told.

    Attributes:
        seen: set at its first token, or when it is lost for good.
    """

    __slots__ = ("seen",)

    def __init__(self, fan_out: FanOut, sampling: Sampling, sent: SentSamples) -> None:
        super().__init__(fan_out, at_their_ends(sampling, fan_out.request.limit), sent)
        self.seen = asyncio.Event()

    @property
    def first(self) -> Callable[[bytes], bool]:
        return self._saw_first

    def write(self) -> Outgoing:
        request = self._fan_out.request
        requests = self._fan_out.means.requests
        return requests.samples(request.prefix, self._sampling, logprobs=request.logprobs, stream=True)

    def read(self, body: bytes) -> list[tuple[WireSample, Logprobs | None]]:
        return [read_streamed_sample(body, is_incremental=self._fan_out.means.streams_increments)]

    def _saw_first(self, payload: bytes) -> bool:
        """Whether this event of its stream has a token."""
        if not shows_a_token(payload):
            return False
        self.sent.prefilled()
        self.seen.set()
        return True

    def over(self) -> None:
        """Whatever came of it, nobody waits for its first token any more."""
        super().over()
        self.seen.set()


def at_their_ends(sampling: Sampling, limit: StepLimit) -> Sampling:
    """Streams whose first token comes at once and the rest at the end, as SGLang counts its ``stream_interval``."""
    # In SGLang's default mode each chunk repeats everything so far: 1.2 MB for 509 tokens.
    # What all samples share stays one object, which is written once.
    ended = {id(fields): {**fields, "stream_interval": limit.tokens + 1} for fields in sampling}
    return [ended[id(fields)] for fields in sampling]


def work_of(request: ExpandRequest, n: int) -> Work:
    """What a request for ``n`` samples of an expand asks of the server."""
    return Work(n, request.limit.tokens, len(request.prefix))
