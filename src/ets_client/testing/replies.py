"""What ``/generate`` says of a sample. Pure."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from .dialect import dialect_of
from .draw import LogProbabilities
from .stops import text_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .job import Job, LogprobWishes
    from .model import Distribution, TextModel
    from .options import FakeOptions
    from .tokenizer import Tokenizer

__all__ = ["Replies"]


class Replies:
    """Makes bodies of samples."""

    def __init__(self, options: FakeOptions, model: TextModel, tokenizer: Tokenizer) -> None:
        self._options = options
        self._model = model
        self._tokenizer = tokenizer
        self._dialect = dialect_of(options.version)

    def of(
        self,
        job: Job,
        now: float,
        *,
        shows_prompt: bool = False,
        start: int = 0,
        told: str = "",
        is_first: bool = True,
    ) -> dict[str, Any]:
        """The object of one sample, at its end or in a stream.

        Args:
            job: the sample.
            now: the time.
            shows_prompt: add ``prompt_token_ids``.
            start: tokens that an incremental stream has sent before; they are left out.
            told: text that it has sent before.
            is_first: nothing was sent of the sample yet.
        """
        text = self.text(job)
        body: dict[str, Any] = {"text": text[len(told) :], "output_ids": job.output[start:]}
        if job.cached is None and job.finish is not None:
            body["meta_info"] = self._meta_of_unborn(job, now)
        else:
            body["meta_info"] = self._meta(job, now, start, is_first=is_first)
        if shows_prompt:
            body["prompt_token_ids"] = job.prompt
        return body

    def text(self, job: Job) -> str:
        """The text so far; in a stream, half a character at its end is held back."""
        text = text_of(job.output, job.finish, job.sampling, self._tokenizer, self._dialect)
        return text.rstrip("\ufffd") if job.finish is None else text

    def _meta_of_unborn(self, job: Job, now: float) -> dict[str, Any]:
        assert job.finish is not None  # noqa: S101 - the caller looked
        meta: dict[str, Any] = {
            "id": job.rid,
            "finish_reason": job.finish.reason,
            "weight_version": self._options.weight_version,
            "e2e_latency": now - job.submitted,
        }
        if job.logprobs is not None:
            meta.update(self._logprobs(job, job.logprobs, 0))
        meta["completion_tokens"] = len(job.output)
        return meta

    def _meta(self, job: Job, now: float, start: int, *, is_first: bool) -> dict[str, Any]:
        finish, cached = job.finish, job.cached or 0
        meta: dict[str, Any] = {
            "id": job.rid,
            "finish_reason": finish.reason if finish is not None else None,
            "prompt_tokens": len(job.prompt),
            "weight_version": self._options.weight_version,
            "num_retractions": job.retractions,
        }
        if self._options.enable_metrics:
            meta |= self._times(job, self._dialect.running_times)
        if job.logprobs is not None:
            meta.update(self._logprobs(job, job.logprobs, start))
        meta["reasoning_tokens"] = 0
        meta["completion_tokens"] = len(job.output)
        meta["cached_tokens"] = cached
        meta["cached_tokens_details"] = {"device": cached, "host": 0} if cached else None
        meta["dp_rank"] = None
        if finish is not None:
            meta["e2e_latency"] = now - job.submitted
            if self._options.version == "0.5.23":
                version = self._options.weight_version
                meta["weight_versions"] = [{"version": version, "start": 0, "end": len(job.output)}]
            if self._options.enable_metrics:
                meta |= self._times(job, self._dialect.final_times)
                if len(job.output) > 1:
                    meta["decode_throughput"] = len(job.output) / max(1e-6, job.finished - job.first_token)
        if is_first or finish is not None:
            meta["response_sent_to_client_ts"] = now
        return meta

    def _times(self, job: Job, names: Sequence[str]) -> dict[str, float]:
        known = {
            "queue_time": max(0.0, job.admitted - job.submitted),
            "forward_entry_time": job.admitted,
            "prefill_finished_time": job.first_token,
            "storage_prefetch_wait": 0.0,
            "storage_staging_wait": 0.0,
            "request_received_ts": job.submitted,
            "api_server_dispatch_finish_ts": job.submitted,
            "request_finished_ts": job.finished,
            "first_token_latency": max(0.0, job.first_token - job.submitted),
        }
        return {name: known[name] for name in names}

    def _logprobs(self, job: Job, wishes: LogprobWishes, start: int) -> dict[str, Any]:
        found: dict[str, Any] = {
            "input_token_logprobs": [],
            "output_token_logprobs": [
                self._triple(value, token, wishes)
                for value, token in zip(job.output_logprobs[start:], job.output[start:], strict=False)
            ],
            "output_token_logprobs_length": len(job.output),
        }
        first = wishes.start if 0 <= wishes.start < len(job.prompt) else len(job.prompt)
        asked = [
            self._values(self._model.read(job.prompt, end), job) if end > first else None
            for end in range(first, len(job.prompt))
        ]
        last = self._tokenizer.vocab_size - 1  # which SGLang calls 0 here, in all versions
        found["input_token_logprobs"] = [
            self._triple(None if values is None else values.of(token), token if token < last else 0, wishes)
            for values, token in zip(asked, job.prompt[first:], strict=True)
        ]
        written: list[LogProbabilities] = []
        if (wishes.top or wishes.of_tokens) and job.continuation is not None:
            written = [
                self._values(job.continuation.next(job.output[:end]), job, job.sampling.logit_bias)
                for end in range(start, len(job.output))
            ]
        if wishes.top:
            found["input_top_logprobs"] = [values and self._top(values, wishes) for values in asked]
            found["output_top_logprobs"] = [self._top(values, wishes) for values in written]
        if wishes.of_tokens:
            tokens = wishes.of_tokens
            found["input_token_ids_logprobs"] = [values and self._of(values, tokens, wishes) for values in asked]
            found["output_token_ids_logprobs"] = [self._of(values, tokens, wishes) for values in written]
        return found

    def _values(
        self, distribution: Distribution, job: Job, bias: Mapping[int, float] = MappingProxyType({})
    ) -> LogProbabilities:
        return LogProbabilities(distribution, job.sampling.temperature, self._tokenizer.vocab_size, bias)

    def _top(self, values: LogProbabilities, wishes: LogprobWishes) -> list[list[Any]]:
        return [self._triple(value, token, wishes) for value, token in values.top(wishes.top)]

    def _of(self, values: LogProbabilities, tokens: Sequence[int], wishes: LogprobWishes) -> list[list[Any]]:
        return [self._triple(values.of(token), token, wishes) for token in tokens]

    def _triple(self, value: float | None, token: int, wishes: LogprobWishes) -> list[Any]:
        return [value, token, self._tokenizer.decode([token]) if wishes.with_text else None]
