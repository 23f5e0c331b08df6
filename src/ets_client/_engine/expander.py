"""What an expand is made of: requests as they were planned, and branches made of their replies."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from .._core.support import check_shape
from .._record import Record
from .._wire.generate import sampling_fields
from ..branch import Expansion
from .branches import BranchMaker
from .fan_out import FanOut, Sampling, at_their_ends, work_of
from .means import Means
from .requests import BatchRequests
from .streaming import SampleStream

if TYPE_CHECKING:
    from .._core.limits import StepLimit
    from ..logprobs import LogprobOptions
    from ..prefix import Prefix
    from ..sampling import SamplingParams
    from ..usage import Usage
    from .caller import Caller
    from .deadline import Deadline
    from .dispatcher import Dispatcher
    from .pending import PendingCall
    from .requests import Requests
    from .server_cache import ServerCache
    from .tokenizers import Tokenizer

__all__ = ["ExpandRequest", "Expander"]


class ExpandRequest(Record, frozen=True):
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
        cache: ServerCache,
        *,
        streams_increments: bool | None,
        requests: Requests | None = None,
        dispatcher: Dispatcher | None = None,
    ) -> None:
        """Make an expander.

        Args:
            caller: how to ask.
            tokenizer: tells the text of tokens.
            cache: what is known of the server's cache.
            streams_increments: the server's way to stream, or None when it is not told.
            requests: how requests are written; as one batch when it is not given.
            dispatcher: lets expands leave together; None: each leaves as soon as it is ready.
        """
        self._means = Means(caller, requests or BatchRequests(), cache, streams_increments, dispatcher)
        self._branches = BranchMaker(tokenizer, cache.books.maker)
        self._written: tuple[SamplingParams | None, dict[str, Any]] = None, {}

    async def expand(self, request: ExpandRequest, call: PendingCall | None = None) -> Expansion:
        """Run one expand. Cancelling it stops its samples on the server.

        Args:
            request: what to expand.
            call: of a search, that it is; None for one that nobody prunes.

        Raises:
            UnsupportedError: a field cannot be carried; nothing was sent.
            RequestError: it failed.
        """
        start, prefix = time.monotonic(), request.prefix
        check_shape(self._means.requests.shape, request.sampling, request.n)
        fan_out = FanOut(self._means, request, call)
        found = await fan_out.sample(self._sampling_of_each(request))
        branches = await self._branches.make(prefix, request.sampling, request.limit, request.deadline, found)
        seconds = time.monotonic() - start
        return Expansion(prefix, tuple(branches), fan_out.reason, fan_out.warmed, seconds, request.sampling)

    async def warm(self, prefix: Prefix, deadline: Deadline) -> Usage:
        """See :meth:`Means.warm`."""
        return await self._means.warm(prefix, deadline)

    async def open(self, request: ExpandRequest, call: PendingCall | None = None, *, every_token: bool) -> SampleStream:
        """Begin an expand whose samples come as they grow.

        Args:
            request: what to expand.
            call: as in :meth:`expand`.
            every_token: whether each token shall come as soon as it is there, or each sample when it has ended.

        Raises:
            UnsupportedError: a field cannot be carried; nothing was sent.
            RequestError: it could not be begun.
        """
        means, prefix, n = self._means, request.prefix, request.n
        check_shape(means.requests.shape, request.sampling, n)
        fan_out = FanOut(means, request, call)
        plan = await fan_out.leave(n)
        if plan.first is not None and n > 1:
            await fan_out.warm_ahead(n)
        sent = means.cache.send(prefix, call) if n == 1 else means.cache.send_batch(prefix, n, call)
        sampling = self._sampling_of_each(request)
        if not every_token:
            sampling = at_their_ends(sampling, request.limit)
        try:
            opened = await means.caller.open(
                lambda: means.requests.samples(prefix, sampling, logprobs=request.logprobs, stream=True),
                request.deadline,
                work_of(request, n),
                before_resend=lambda: fan_out.again(n, sent),
                call=call,
            )
        except BaseException:
            sent.lost()
            raise
        return SampleStream(
            means.caller,
            opened,
            request.deadline,
            is_incremental=means.streams_increments,
            sent=sent,
            warmed=fan_out.warmed,
        )

    def _sampling_of_each(self, request: ExpandRequest) -> Sampling:
        sampling = request.sampling
        if self._written[0] is not sampling:  # a search merges the same two or three for all of its calls
            self._written = sampling, sampling_fields(sampling)
        fields, seed = self._written[1], sampling.seed
        if seed is None:
            return [fields] * request.n
        return [{**fields, "sampling_seed": seed + place} for place in range(request.n)]

    @property
    def branches(self) -> BranchMaker:
        """Makes branches of samples."""
        return self._branches
