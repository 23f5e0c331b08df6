"""Make branches of what the server sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._core.ending import end_of_step, overshoot_in, surely_ends_at
from .._record import Untracked
from ..branch import Branch, EndReason
from ..usage import Usage
from .tokenizers import TokenTexts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._core.ledger import Maker
    from .._core.limits import StepLimit
    from .._core.shadow_sample import RunningSample
    from .._wire.generate import WireSample
    from ..logprobs import Logprobs
    from ..prefix import Prefix
    from ..sampling import SamplingParams
    from .deadline import Deadline
    from .tokenizers import Tokenizer

__all__ = ["BranchMaker", "Found", "usage_of"]


class Found(Untracked, frozen=True):
    """One sample that came back.

    Attributes:
        sample: what the server said.
        logprobs: its log-probabilities, when they were asked for and came.
        running: the sample as the shadow of the server's cache has it, ended.
    """

    sample: WireSample
    logprobs: Logprobs | None = None
    running: RunningSample | None = None


class BranchMaker:
    """Knows how a step ended and which characters its tokens carry."""

    def __init__(self, tokenizer: Tokenizer, maker: Maker | None = None) -> None:
        """Make it.

        Args:
            tokenizer: tells the text of tokens.
            maker: the mark on what is made of samples.
        """
        self._tokenizer = tokenizer
        self._maker = maker
        self._token_texts = TokenTexts(tokenizer)

    async def make(
        self, prefix: Prefix, sampling: SamplingParams, limit: StepLimit, deadline: Deadline, found: Sequence[Found]
    ) -> list[Branch]:
        """Make the branches of samples that have ended.

        Args:
            prefix: what was expanded.
            sampling: as it was sent.
            limit: where its ``max_new_tokens`` came from.
            deadline: until when the server may be asked for text, which is seldom needed.
            found: what came back.

        Raises:
            RequestError: the server was asked for the text of a token and failed, or the time was over.
        """
        stop, stop_regex, stop_token_ids = sampling.stop or (), sampling.stop_regex or (), sampling.stop_token_ids or ()
        branches: list[Branch] = []
        for one in found:
            sample, running = one.sample, one.running
            finish = sample.meta_info.finish_reason
            matched = finish.matched if finish is not None else None
            end = end_of_step(
                finish.type if finish is not None else None,
                matched,
                generated=len(sample.output_ids),
                limit=limit,
                stop=stop,
                stop_regex=stop_regex,
                stop_token_ids=stop_token_ids,
            )
            text, overshoot = sample.text, ""
            if end is EndReason.DELIMITER:
                overshoot = await self._overshoot(sample, str(matched), deadline)
                text += str(matched) + overshoot
            child = prefix.child(sample.output_ids, text)
            child.made_by = self._maker
            if running is not None:
                running.mark(child)
            branches.append(
                Branch(
                    text=sample.text,
                    token_ids=child.step_token_ids,
                    prefix=child,
                    end=end,
                    matched=matched if isinstance(matched, str | int) else None,
                    overshoot=overshoot,
                    usage=usage_of(sample),
                    rid=sample.meta_info.id,
                    logprobs=one.logprobs,
                    predicted_cached_tokens=None if running is None else running.predicted,
                )
            )
        return branches

    async def _overshoot(self, sample: WireSample, stop: str, deadline: Deadline) -> str:
        if not sample.output_ids:
            return ""
        last = sample.output_ids[-1]
        known = self._token_texts.known(last)
        if known is not None and surely_ends_at(stop, known):
            return ""
        async with deadline.limit("the text after the step's end was not decoded", (sample.meta_info.id,)):
            if known is None and surely_ends_at(stop, await self._token_texts.text(last)):
                return ""
            return overshoot_in(await self._tokenizer.decode(sample.output_ids), sample.text, stop)


def usage_of(sample: WireSample) -> Usage:
    """The tokens that the server counted for one sample."""
    meta = sample.meta_info
    return Usage(meta.prompt_tokens, meta.cached_tokens, meta.completion_tokens)
