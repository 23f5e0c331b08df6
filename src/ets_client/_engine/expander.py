"""What an expand is made of: perhaps a prefill, one batch, and branches made of the reply."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._core.plan import plan_expand
from .._wire.generate import generate_body, read_samples, sampling_fields, warm_body
from .._wire.logprobs import logprobs_of_samples
from ..branch import Expansion, Usage
from .branches import BranchMaker, usage_of
from .caller import Outgoing
from .streaming import SampleStream
from .warmer import Warmer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .._core.limits import StepLimit
    from .._core.warmth import Warmth
    from .._wire.generate import WireSample
    from ..logprobs import LogprobOptions, Logprobs
    from ..prefix import Prefix
    from ..sampling import SamplingParams
    from .caller import Caller
    from .deadline import Deadline
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

    def __init__(self, caller: Caller, tokenizer: Tokenizer, warmth: Warmth, *, streams_increments: bool) -> None:
        """Make an expander.

        Args:
            caller: how to ask.
            tokenizer: tells the text of tokens.
            warmth: what is known of the server's cache.
            streams_increments: the server's way to stream.
        """
        self._caller = caller
        self._branches = BranchMaker(tokenizer, warmth)
        self._warmth = warmth
        self._warmer = Warmer(warmth, self._prefill)
        self._streams_increments = streams_increments

    async def expand(self, request: ExpandRequest) -> Expansion:
        """Run one expand. Cancelling it stops its samples on the server.

        Raises:
            RequestError: it failed.
        """
        start = time.monotonic()
        prefix = request.prefix
        plan = plan_expand(request.n, len(prefix), self._warmth.length(prefix))
        warm_usage = await self.warm(prefix, request.deadline) if plan.warms_first else Usage()
        make = _batch(request, _sampling_of_each(request))
        read = _read_with_logprobs if request.logprobs is not None else _read
        samples = await self._caller.call(make, lambda body: read(body, request.n), request.deadline)
        async with request.deadline.limit("the text after the steps' ends was not decoded"):
            branches = [
                await self._branches.make(prefix, request.sampling, request.limit, sample, logprobs)
                for sample, logprobs in samples
            ]
        seconds = time.monotonic() - start
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
            RequestError: it could not be begun.
        """
        plan = plan_expand(request.n, len(request.prefix), self._warmth.length(request.prefix))
        if plan.warms_first:
            await self.warm(request.prefix, request.deadline)
        sampling = _sampling_of_each(request)
        if not every_token:
            # In SGLang's default mode each chunk repeats everything so far: 1.2 MB for 509 tokens.
            sampling = [{**fields, "stream_interval": request.limit.tokens + 1} for fields in sampling]
        call = await self._caller.open(_batch(request, sampling, stream=True), request.deadline)
        return SampleStream(self._caller, call, request.deadline, is_incremental=self._streams_increments)

    @property
    def branches(self) -> BranchMaker:
        """Makes branches of samples."""
        return self._branches

    async def _prefill(self, prefix: Prefix, deadline: Deadline) -> Usage:
        token_ids = prefix.token_ids

        def make() -> Outgoing:
            rid = uuid.uuid4().hex
            return Outgoing("POST", "/generate", warm_body(token_ids, rid, prefix.origin.namespace), (rid,))

        (sample,) = await self._caller.call(make, lambda body: read_samples(body, 1), deadline)
        return usage_of(sample)


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


def _batch(
    request: ExpandRequest, sampling: Sequence[dict[str, Any]], *, stream: bool = False
) -> Callable[[], Outgoing]:
    token_ids, namespace = request.prefix.token_ids, request.prefix.origin.namespace

    def make() -> Outgoing:
        rids = tuple(uuid.uuid4().hex for _ in range(request.n))
        body = generate_body(token_ids, rids, sampling, logprobs=request.logprobs, namespace=namespace, stream=stream)
        return Outgoing("POST", "/generate", body, rids)

    return make
