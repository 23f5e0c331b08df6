"""What an expand is made of: requests as they were planned, and branches made of their replies."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .._core.pace import Work
from .._core.plan import plan_expand
from .._core.support import check_shape
from .._wire.generate import read_samples, sampling_fields
from .._wire.logprobs import logprobs_of_samples
from .._wire.stream import read_streamed_sample, shows_a_token
from ..branch import Expansion, Usage
from .branches import BranchMaker, usage_of
from .requests import BatchRequests
from .streaming import SampleStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core.limits import StepLimit
    from .._core.plan import ExpandPlan
    from .._core.shadow_sample import RunningSample
    from .._wire.generate import WireSample
    from ..logprobs import LogprobOptions, Logprobs
    from ..prefix import Prefix
    from ..sampling import SamplingParams
    from .caller import Caller
    from .deadline import Deadline
    from .requests import Requests
    from .server_cache import SentSamples, ServerCache
    from .tokenizers import Tokenizer

__all__ = ["ExpandRequest", "Expander"]


@dataclass(frozen=True, slots=True)
class ExpandRequest:
    """An expand with everything decided.

    Attributes:
        prefix: what is expanded.
        n: samples.
        sampling: all fields that are sent, stop strings included.
        limit: where ``sampling.max_new_tokens`` comes from.
        logprobs: which log-probabilities are wanted, or None.
        deadline: the end of all of it.
    """

    prefix: Prefix
    n: int
    sampling: SamplingParams
    limit: StepLimit
    logprobs: LogprobOptions | None
    deadline: Deadline


@dataclass(frozen=True, slots=True)
class _Found:
    """One sample that came back, and how the cache saw it."""

    sample: WireSample
    logprobs: Logprobs | None
    running: RunningSample


@dataclass(slots=True)
class _Tally:
    """What an expand did besides its samples: its plans, the first one first, and requests without output."""

    plans: list[ExpandPlan] = field(default_factory=list["ExpandPlan"])
    warmed: Usage = field(default_factory=Usage)


class Expander:
    """Runs expands on one server."""

    def __init__(
        self,
        caller: Caller,
        tokenizer: Tokenizer,
        cache: ServerCache,
        *,
        streams_increments: bool | None,
        requests: Requests | None = None,
    ) -> None:
        """Make an expander.

        Args:
            caller: how to ask.
            tokenizer: tells the text of tokens.
            cache: what is known of the server's cache.
            streams_increments: the server's way to stream, or None when it is not told.
            requests: how requests are written; as one batch when it is not given.
        """
        self._caller = caller
        self._branches = BranchMaker(tokenizer)
        self._cache = cache
        self._streams_increments = streams_increments
        self._requests = requests or BatchRequests()

    async def expand(self, request: ExpandRequest) -> Expansion:
        """Run one expand. Cancelling it stops its samples on the server.

        Raises:
            UnsupportedError: a field cannot be carried; nothing was sent.
            RequestError: it failed.
        """
        start = time.monotonic()
        check_shape(self._requests.shape, request.sampling, request.n)
        prefix, tally = request.prefix, _Tally()
        found = await self._sample(request, _sampling_of_each(request), tally)
        branches = [
            await self._branches.make(
                prefix, request.sampling, request.limit, one.sample, one.logprobs, request.deadline, one.running
            )
            for one in found
        ]
        seconds, reason = time.monotonic() - start, tally.plans[0].reason
        return Expansion(prefix, tuple(branches), reason, tally.warmed, seconds, request.sampling)

    async def warm(self, prefix: Prefix, deadline: Deadline) -> Usage:
        """Put a prefix into the server's cache, unless it should be there, by a request without output.

        Raises:
            RequestError: it failed.
        """
        cache = self._cache
        if not await cache.wait(prefix, deadline):
            return Usage()
        sent = cache.send(prefix)

        async def again() -> None:
            sent.lost()
            await cache.wait(prefix, deadline)
            sent.begin()

        try:
            (sample,) = await self._caller.call(
                lambda: self._requests.prefill(prefix),
                lambda body: read_samples(body, 1),
                deadline,
                Work(samples=1, new_tokens=0, prompt_tokens=len(prefix)),
                before_resend=again,
            )
            sent.finish(0, sample)
        finally:
            sent.lost()
        return usage_of(sample)

    async def open(self, request: ExpandRequest, *, every_token: bool) -> SampleStream:
        """Begin an expand whose samples come as they grow.

        Args:
            request: what to expand.
            every_token: whether each token shall come as soon as it is there, or each sample when it has ended.

        Raises:
            UnsupportedError: a field cannot be carried; nothing was sent.
            RequestError: it could not be begun.
        """
        check_shape(self._requests.shape, request.sampling, request.n)
        prefix, n, tally = request.prefix, request.n, _Tally()
        plan = await self._plan(request, n, tally)
        if plan.first is not None and n > 1:
            await self.warm(prefix, request.deadline)
        sent = self._cache.send(prefix) if n == 1 else self._cache.send_batch(prefix, n)
        sampling = _sampling_of_each(request)
        if not every_token:
            sampling = _at_their_ends(sampling, request.limit)
        try:
            call = await self._caller.open(
                lambda: self._requests.samples(prefix, sampling, logprobs=request.logprobs, stream=True),
                request.deadline,
                _work(request, n),
                before_resend=lambda: self._again(request, n, sent, tally),
            )
        except BaseException:
            sent.lost()
            raise
        return SampleStream(self._caller, call, request.deadline, is_incremental=self._streams_increments, sent=sent)

    @property
    def branches(self) -> BranchMaker:
        """Makes branches of samples."""
        return self._branches

    async def _plan(self, request: ExpandRequest, n: int, tally: _Tally) -> ExpandPlan:
        """Wait for what others compute, and decide. What it says of the cache holds until the next await."""
        cold = self._cache.cold(request.prefix)
        if cold:
            cold = await self._cache.wait(request.prefix, request.deadline)
        plan = plan_expand(n, cold, self._requests.shape)
        tally.plans.append(plan)
        return plan

    async def _sample(self, request: ExpandRequest, sampling: _Sampling, tally: _Tally) -> list[_Found]:
        """Get a sample for each of ``sampling``, in order."""
        n = len(sampling)
        plan = await self._plan(request, n, tally)
        if plan.first == "leader":
            return await self._lead(request, sampling, tally)
        if plan.first == "prefill":
            tally.warmed += await self.warm(request.prefix, request.deadline)
        sent = self._cache.send_batch(request.prefix, n)
        return await self._ask(request, sampling, sent, tally)

    async def _lead(self, request: ExpandRequest, sampling: _Sampling, tally: _Tally) -> list[_Found]:
        """The first sample computes the cold part and says so by its first token; the others are planned anew then."""
        leader, seen = self._cache.send(request.prefix), asyncio.Event()
        alone = self._ask(request, _at_their_ends(sampling[:1], request.limit), leader, tally, seen)
        if len(sampling) == 1:
            return await alone
        try:
            async with asyncio.TaskGroup() as group:
                first = group.create_task(alone)
                await seen.wait()
                await asyncio.sleep(0)  # where a leader that failed ends this group before anything more is sent
                others = await self._sample(request, sampling[1:], tally)
        except ExceptionGroup as failed:
            error = failed.exceptions[0]
            raise error from error.__cause__
        finally:
            leader.lost()  # a task that is cancelled before it runs ends nothing itself
        return first.result() + others

    async def _ask(
        self,
        request: ExpandRequest,
        sampling: _Sampling,
        sent: SentSamples,
        tally: _Tally,
        seen: asyncio.Event | None = None,
    ) -> list[_Found]:
        """One request.

        Args:
            request: what is expanded.
            sampling: of its samples.
            sent: its samples as the cache sees them.
            tally: what is done besides.
            seen: for one sample, which streams then: set at its first token, or when it is lost for good.
        """
        n, logprobs, streams = len(sampling), request.logprobs, seen is not None

        def first(payload: bytes) -> bool:
            if seen is None or not shows_a_token(payload):
                return False
            sent.prefilled()
            seen.set()
            return True

        try:
            found = await self._caller.call(
                lambda: self._requests.samples(request.prefix, sampling, logprobs=logprobs, stream=streams),
                self._read_stream if streams else _reader(n, has_logprobs=logprobs is not None),
                request.deadline,
                _work(request, n),
                did=_done,
                before_resend=lambda: self._again(request, n, sent, tally),
                first=first if streams else None,
            )
            for place, (sample, _) in enumerate(found):
                sent.finish(place, sample)
        finally:
            sent.lost()
            if seen is not None:
                seen.set()
        return [_Found(sample, logprobs, sent[place]) for place, (sample, logprobs) in enumerate(found)]

    async def _again(self, request: ExpandRequest, n: int, sent: SentSamples, tally: _Tally) -> None:
        """Before a resend: the last try is lost, and the server may have been started again since."""
        sent.lost()
        plan = await self._plan(request, n, tally)
        if plan.first is not None and n > 1:
            tally.warmed += await self.warm(request.prefix, request.deadline)
        sent.begin()

    def _read_stream(self, body: bytes) -> list[tuple[WireSample, Logprobs | None]]:
        return [read_streamed_sample(body, is_incremental=self._streams_increments)]


_Sampling = list[dict[str, Any]]


def _at_their_ends(sampling: _Sampling, limit: StepLimit) -> _Sampling:
    """Streams whose first token comes at once and the rest at the end, as SGLang counts its ``stream_interval``."""
    # In SGLang's default mode each chunk repeats everything so far: 1.2 MB for 509 tokens.
    return [{**fields, "stream_interval": limit.tokens + 1} for fields in sampling]


def _work(request: ExpandRequest, n: int) -> Work:
    return Work(n, request.limit.tokens, len(request.prefix))


def _done(samples: list[tuple[WireSample, Logprobs | None]]) -> Work:
    longest = max(len(sample.output_ids) for sample, _ in samples)
    return Work(len(samples), longest, samples[0][0].meta_info.prompt_tokens)


def _reader(n: int, *, has_logprobs: bool) -> Callable[[bytes], list[tuple[WireSample, Logprobs | None]]]:
    def read(body: bytes) -> list[tuple[WireSample, Logprobs | None]]:
        samples = read_samples(body, n)
        logprobs = logprobs_of_samples(body, n) if has_logprobs else [None] * n
        return list(zip(samples, logprobs, strict=True))

    return read


def _sampling_of_each(request: ExpandRequest) -> _Sampling:
    fields = sampling_fields(request.sampling)
    seed = request.sampling.seed
    if seed is None:
        return [fields] * request.n
    return [{**fields, "sampling_seed": seed + place} for place in range(request.n)]
