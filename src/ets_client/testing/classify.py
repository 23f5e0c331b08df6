"""``/classify`` and ``/encode``: the head of a reward model. Source: ``EmbeddingReqInput`` in ``io_struct.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from .body import fields_of
from .chance import fraction
from .errors import http_error, value_error
from .job import Job
from .sampling import CrashError, FatalError, Sampling
from .shapes import is_list

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .calls import Generator
    from .exchange import Exchange

__all__ = ["Classifier"]

_NO_EMBEDDING = (
    "This model does not appear to be an embedding model by default. "
    "Please add `--is-embedding` when launching the server or try another model."
)
_TOO_LONG = "The input ({} tokens) is longer than the model's context length ({} tokens)."


class Classifier:
    """Answers with numbers that the seed and the prompt decide."""

    def __init__(self, generator: Generator) -> None:
        """Make it.

        Args:
            generator: whose options, tokenizer and engine it shares.
        """
        self._generator = generator
        self._options = generator.options

    def handle(self, exchange: Exchange) -> None:
        """Answer one request.

        Raises:
            RejectedError: it is refused before anything else.
            CrashError: it is a 500.
            FatalError: the server dies of it.
        """
        fields = fields_of(exchange, f"{exchange.method} {exchange.path}")
        if not self._options.reward_outputs:
            exchange.reply(400, value_error(_NO_EMBEDDING))
            return
        prompts, is_single = self._prompts(fields)
        rids = self._rids(fields.get("rid"), len(prompts), is_single=is_single)
        limit, vocab_size = self._options.context_length, self._generator.tokenizer.vocab_size
        for prompt in prompts:
            if len(prompt) >= limit:
                exchange.reply(400, value_error(_TOO_LONG.format(len(prompt), limit)))
                return
            if any(not 0 <= token < vocab_size for token in prompt):
                raise FatalError(f"a token id outside the vocabulary of {vocab_size}")
        _Call(self._generator, exchange, is_single=is_single).start(prompts, rids)

    def _prompts(self, fields: dict[str, Any]) -> tuple[list[list[int]], bool]:
        text, ids, encode = fields.get("text"), fields.get("input_ids"), self._generator.tokenizer.encode
        given: Any = text if ids is None else ids
        if not given:
            raise CrashError("neither text nor ids")
        if isinstance(given, str):
            return [encode(given)], True
        if isinstance(given[0], int):
            return [list(given)], True
        return [encode(each) if isinstance(each, str) else list(each) for each in given], False

    def _rids(self, given: Any, size: int, *, is_single: bool) -> list[str]:
        if given is None:
            return [self._generator.new_rid() for _ in range(size)]
        if is_single and isinstance(given, str):
            return [given]
        if is_single or not is_list(given) or len(given) != size:  # a string is not numbered here, unlike in /generate
            raise CrashError("rids that do not fit the prompts")
        return [*given]


class _Call:
    """One request."""

    def __init__(self, home: Generator, exchange: Exchange, *, is_single: bool) -> None:
        self._home = home
        self._exchange = exchange
        self._is_single = is_single
        self._jobs: list[Job] = []
        self._left = 0

    def start(self, prompts: Sequence[list[int]], rids: Sequence[str]) -> None:
        self._home.registered.update(rids)
        sampling = Sampling(max_new_tokens=0)
        self._jobs = [Job(rid, prompt, sampling, 0, self._update) for rid, prompt in zip(rids, prompts, strict=True)]
        self._left = len(self._jobs)
        self._home.engine.submit(self._jobs)

    def _update(self, job: Job) -> None:
        self._home.registered.discard(job.rid)
        self._left -= 1
        if self._left:
            return
        failed = next((each.finish for each in self._jobs if each.finish and each.finish.status == 503), None)
        if failed is not None:
            self._exchange.reply(503, http_error(503, failed.message))
            return
        bodies = [self._body(each) for each in self._jobs]
        self._exchange.reply(200, to_json(bodies[0] if self._is_single else bodies))

    def _body(self, job: Job) -> dict[str, Any]:
        options, now = self._home.options, self._home.clock.now()
        assert job.finish is not None  # noqa: S101 - all have ended
        meta: dict[str, Any] = {"id": job.rid, "finish_reason": job.finish.reason}
        if job.cached is None:  # stopped in the queue
            meta |= {"weight_version": options.weight_version, "e2e_latency": now - job.submitted}
            return {"text": "", "output_ids": [], "meta_info": meta | {"completion_tokens": 0}}
        meta |= {
            "prompt_tokens": len(job.prompt),
            "weight_version": options.weight_version,
            "num_retractions": job.retractions,
            "e2e_latency": now - job.submitted,
            "response_sent_to_client_ts": now,
        }
        if options.enable_metrics:
            meta |= {"queue_time": max(0.0, job.admitted - job.submitted)}
            meta |= dict.fromkeys(self._home.dialect.final_times, now)
        outputs = range(options.reward_outputs)
        return {"embedding": [8 * fraction(options.seed, each, *job.prompt) - 4 for each in outputs], "meta_info": meta}
