"""What an expand is made of: perhaps a prefill, one batch, and branches made of the reply."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._core.ending import end_of_step, overshoot_in, surely_ends_at
from .._core.plan import plan_expand
from .._wire.generate import generate_body, read_samples, sampling_fields, warm_body
from ..branch import Branch, EndReason, Expansion, Logprobs, Usage
from .caller import Outgoing
from .tokenizers import TokenTexts
from .warmer import Warmer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._core.limits import StepLimit
    from .._core.warmth import Warmth
    from .._wire.generate import WireSample
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
        logprobs: whether log-probabilities are wanted.
        deadline: end of all of it.
    """

    prefix: Prefix
    n: int
    sampling: SamplingParams
    limit: StepLimit
    logprobs: bool
    deadline: Deadline


class Expander:
    """Runs expands on one server."""

    def __init__(self, caller: Caller, tokenizer: Tokenizer, warmth: Warmth) -> None:
        self._caller = caller
        self._tokenizer = tokenizer
        self._token_texts = TokenTexts(tokenizer)
        self._warmth = warmth
        self._warmer = Warmer(warmth, self._prefill)

    async def expand(self, request: ExpandRequest) -> Expansion:
        """Run one expand. Cancelling it stops its samples on the server.

        Raises:
            RequestError: it failed.
        """
        start = time.monotonic()
        prefix = request.prefix
        plan = plan_expand(request.n, len(prefix), self._warmth.length(prefix))
        warm_usage = await self._warmer.warm(prefix, request.deadline) if plan.warms_first else Usage()
        sampling = self._sampling_of_each(request)
        token_ids = prefix.token_ids

        def make() -> Outgoing:
            rids = tuple(uuid.uuid4().hex for _ in range(request.n))
            body = generate_body(
                token_ids, rids, sampling, logprobs=request.logprobs, namespace=prefix.origin.namespace
            )
            return Outgoing("POST", "/generate", body, rids)

        samples = await self._caller.call(make, lambda body: read_samples(body, request.n), request.deadline)
        async with request.deadline.limit("the text after the steps' ends was not decoded"):
            branches = [await self._branch(request, sample) for sample in samples]
        for branch in branches:
            if branch.token_ids or branch.end is not EndReason.ABORTED:  # aborted in the queue: nothing was computed
                self._warmth.add(prefix)
                self._warmth.add(branch.prefix)
        return Expansion(prefix, tuple(branches), plan.reason, warm_usage, time.monotonic() - start)

    def _sampling_of_each(self, request: ExpandRequest) -> Sequence[dict[str, Any]]:
        fields = sampling_fields(request.sampling)
        seed = request.sampling.seed
        if seed is None:
            return [fields] * request.n
        return [{**fields, "sampling_seed": seed + place} for place in range(request.n)]

    async def _prefill(self, prefix: Prefix, deadline: Deadline) -> Usage:
        token_ids = prefix.token_ids

        def make() -> Outgoing:
            rid = uuid.uuid4().hex
            return Outgoing("POST", "/generate", warm_body(token_ids, rid, prefix.origin.namespace), (rid,))

        (sample,) = await self._caller.call(make, lambda body: read_samples(body, 1), deadline)
        return _usage(sample)

    async def _branch(self, request: ExpandRequest, sample: WireSample) -> Branch:
        finish = sample.meta_info.finish_reason
        matched = finish.matched if finish is not None else None
        sampling = request.sampling
        end = end_of_step(
            finish.type if finish is not None else None,
            matched,
            generated=len(sample.output_ids),
            limit=request.limit,
            stop=sampling.stop or (),
            stop_regex=sampling.stop_regex or (),
            stop_token_ids=sampling.stop_token_ids or (),
        )
        stop, overshoot = "", ""
        if end is EndReason.DELIMITER:
            stop = str(matched)
            overshoot = await self._overshoot(sample, stop)
        raw = sample.meta_info.output_token_logprobs
        return Branch(
            text=sample.text,
            token_ids=tuple(sample.output_ids),
            prefix=request.prefix.child(sample.output_ids, sample.text + stop + overshoot),
            end=end,
            matched=matched if isinstance(matched, str | int) else None,
            overshoot=overshoot,
            usage=_usage(sample),
            rid=sample.meta_info.id,
            logprobs=Logprobs(raw) if request.logprobs and raw is not None else None,
        )

    async def _overshoot(self, sample: WireSample, stop: str) -> str:
        if not sample.output_ids or surely_ends_at(stop, await self._token_texts.text(sample.output_ids[-1])):
            return ""
        return overshoot_in(await self._tokenizer.decode(sample.output_ids), sample.text, stop)


def _usage(sample: WireSample) -> Usage:
    meta = sample.meta_info
    return Usage(meta.prompt_tokens, meta.cached_tokens, meta.completion_tokens)
