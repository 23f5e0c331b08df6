"""What an expand is made of: perhaps a prefill, one batch, and branches made of the reply."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._core.pace import Work
from .._core.plan import plan_expand
from .._core.support import check_shape
from .._wire.generate import read_samples, sampling_fields
from .._wire.logprobs import logprobs_of_samples
from ..branch import Expansion, Usage
from .branches import BranchMaker, usage_of
from .requests import BatchRequests
from .streaming import SampleStream
from .warmer import Warmer

if TYPE_CHECKING:
    from .._core.limits import StepLimit
    from .._core.plan import ExpandPlan
    from .._core.warmth import Warmth
    from .._wire.generate import WireSample
    from ..logprobs import LogprobOptions, Logprobs
    from ..prefix import Prefix
    from ..sampling import SamplingParams
    from .caller import Caller
    from .deadline import Deadline
    from .requests import Requests
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


class Expander:
    """Runs expands on one server."""

    def __init__(
        self,
        caller: Caller,
        tokenizer: Tokenizer,
        warmth: Warmth,
        *,
        streams_increments: bool | None,
        requests: Requests | None = None,
    ) -> None:
        """Make an expander.

        Args:
            caller: how to ask.
            tokenizer: tells the text of tokens.
            warmth: what is known of the server's cache.
            streams_increments: the server's way to stream, or None when it is not told.
            requests: how requests are written; as one batch when it is not given.
        """
        self._caller = caller
        self._branches = BranchMaker(tokenizer, warmth)
        self._warmth = warmth
        self._warmer = Warmer(warmth, self._prefill)
        self._streams_increments = streams_increments
        self._requests = requests or BatchRequests()

    async def expand(self, request: ExpandRequest) -> Expansion:
        """Run one expand. Cancelling it stops its samples on the server.

        Raises:
            UnsupportedError: a field cannot be carried; nothing was sent.
            RequestError: it failed.
        """
        start = time.monotonic()
        prefix = request.prefix
        plan = self._plan(request)
        warmed = [await self.warm(prefix, request.deadline)] if plan.warms_first else []

        async def warm_again() -> None:
            warmed.append(await self._warm_again(request))

        sampling = _sampling_of_each(request)
        read = _read_with_logprobs if request.logprobs is not None else _read
        samples = await self._caller.call(
            lambda: self._requests.samples(prefix, sampling, logprobs=request.logprobs),
            lambda body: read(body, request.n),
            request.deadline,
            _work(request),
            did=_done,
            before_resend=warm_again,
        )
        branches = [
            await self._branches.make(prefix, request.sampling, request.limit, sample, logprobs, request.deadline)
            for sample, logprobs in samples
        ]
        seconds, warm_usage = time.monotonic() - start, sum(warmed, start=Usage())
        return Expansion(prefix, tuple(branches), plan.reason, warm_usage, seconds, request.sampling)

    async def warm(self, prefix: Prefix, deadline: Deadline) -> Usage:
        """Put a prefix into the server's cache, unless it should be there.

        Raises:
            RequestError: it failed.
        """
        return await self._warmer.warm(prefix, deadline)

    async def open(self, request: ExpandRequest, *, every_token: bool) -> SampleStream:
        """Begin an expand whose samples come as they grow.

        Args:
            request: what to expand.
            every_token: whether each token shall come as soon as it is there, or each sample when it has ended.

        Raises:
            UnsupportedError: a field cannot be carried; nothing was sent.
            RequestError: it could not be begun.
        """
        if self._plan(request).warms_first:
            await self.warm(request.prefix, request.deadline)
        sampling = _sampling_of_each(request)
        if not every_token:
            # In SGLang's default mode each chunk repeats everything so far: 1.2 MB for 509 tokens.
            sampling = [{**fields, "stream_interval": request.limit.tokens + 1} for fields in sampling]
        call = await self._caller.open(
            lambda: self._requests.samples(request.prefix, sampling, logprobs=request.logprobs, stream=True),
            request.deadline,
            _work(request),
            before_resend=lambda: self._warm_again(request),
        )
        return SampleStream(self._caller, call, request.deadline, is_incremental=self._streams_increments)

    @property
    def branches(self) -> BranchMaker:
        """Makes branches of samples."""
        return self._branches

    def _plan(self, request: ExpandRequest) -> ExpandPlan:
        shape = self._requests.shape
        check_shape(shape, request.sampling, request.n)
        return plan_expand(request.n, len(request.prefix), self._warmth.length(request.prefix), shape)

    async def _prefill(self, prefix: Prefix, deadline: Deadline) -> Usage:
        (sample,) = await self._caller.call(
            lambda: self._requests.prefill(prefix),
            lambda body: read_samples(body, 1),
            deadline,
            Work(samples=1, new_tokens=0, prompt_tokens=len(prefix)),
        )
        return usage_of(sample)

    async def _warm_again(self, request: ExpandRequest) -> Usage:
        """Before a resend: the server may have been started again since the prefix was warm."""
        if self._plan(request).warms_first:
            return await self.warm(request.prefix, request.deadline)
        return Usage()


def _work(request: ExpandRequest) -> Work:
    return Work(request.n, request.limit.tokens, len(request.prefix))


def _done(samples: list[tuple[WireSample, Logprobs | None]]) -> Work:
    longest = max(len(sample.output_ids) for sample, _ in samples)
    return Work(len(samples), longest, samples[0][0].meta_info.prompt_tokens)


def _read(body: bytes, expected: int) -> list[tuple[WireSample, Logprobs | None]]:
    return [(sample, None) for sample in read_samples(body, expected)]


def _read_with_logprobs(body: bytes, expected: int) -> list[tuple[WireSample, Logprobs | None]]:
    return list(zip(read_samples(body, expected), logprobs_of_samples(body, expected), strict=True))


def _sampling_of_each(request: ExpandRequest) -> list[dict[str, Any]]:
    fields = sampling_fields(request.sampling)
    seed = request.sampling.seed
    if seed is None:
        return [fields] * request.n
    return [{**fields, "sampling_seed": seed + place} for place in range(request.n)]
