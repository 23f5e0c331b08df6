"""What a running server says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Frontend", "ModelInfo", "ServerInfo", "ServerMetrics", "WorkerLoad"]

Frontend = Literal["server", "sglang-router", "smg"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """Facts of the server that decide what a client may ask. ``print`` shows them as a table.

    What is None was not told: SGLang's older router keeps nearly everything about its workers to itself. Behind a
    router with several workers each limit is the smallest of theirs, as far as they are told.

    Attributes:
        frontend: what answers: SGLang itself (``server``), or a router in front of several: ``sglang-router`` or its
            successor ``smg``.
        workers: servers behind it; 1 without a router.
        version: SGLang's version, or "".
        model_path: what it serves.
        tokenizer_path: whose tokenizer it uses.
        weight_version: version of the weights; prefixes of different ones share nothing.
        vocab_size: token ids below it exist. No endpoint tells it.
        vocab_source: where ``vocab_size`` comes from: the profile, the model's folder or its tokenizer; "" for nowhere.
        context_length: tokens of prompt and output together. A router that does not tell it takes the profile's.
        max_input_tokens: a prompt must be shorter than this.
        max_total_tokens: tokens that the KV cache holds.
        kv_bytes_per_token: of KV cache, on each GPU; None where the server does not tell it to 1 %.
        max_running_requests: samples that decode at once.
        captured_batch: the largest batch that the server decodes by a captured CUDA graph: larger ones are launched
            kernel by kernel. 1.5 times slower, measured on an H100. None without graphs.
        max_queued_requests: samples that may wait before others are refused with 503; None also when there is no limit.
        page_size: tokens of a cache page; reuse is rounded down to it.
        chunked_prefill_size: tokens of a prompt that are computed in one step; -1 for whole prompts.
        schedule_policy: order of waiting requests (``lpm``, ``fcfs``, …), or "".
        dp_size: data-parallel copies inside one server, each with a cache of its own.
        keep_alive_seconds: an idle connection is closed after this time. Only an endpoint file tells it; SGLang's
            default is 5.
        has_admin_key: whether aborts and flushes need ``admin_api_key``.
        is_deterministic: whether seeds are used (``--enable-deterministic-inference``).
        has_radix_cache: whether prefixes are reused at all.
        streams_increments: whether a stream holds what is new, and not everything so far in each chunk.
        has_aborts: whether single samples can be stopped by request id.
        has_tokenizer: whether it turns text into ids.
        has_loads: whether :meth:`AsyncPolicyClient.loads` has an answer.
        has_metrics: whether :meth:`AsyncPolicyClient.metrics` has one.
        preferred_sampling: sampling fields that the server sets where a request has none, in SGLang's names
            (``--preferred-sampling-params``).
        is_generation: whether it generates text; False for embedding and reward models, which die of ``/generate``.
        architectures: of the model's config; none where the server does not tell.
    """

    frontend: Frontend = "server"
    workers: int = 1
    version: str = ""
    model_path: str
    tokenizer_path: str
    weight_version: str = "default"
    vocab_size: int | None = None
    vocab_source: str = ""
    context_length: int | None = None
    max_input_tokens: int | None = None
    max_total_tokens: int | None = None
    kv_bytes_per_token: float | None = None
    max_running_requests: int | None = None
    captured_batch: int | None = None
    max_queued_requests: int | None = None
    page_size: int | None = None
    chunked_prefill_size: int | None = None
    schedule_policy: str = ""
    dp_size: int | None = None
    keep_alive_seconds: float | None = None
    has_admin_key: bool | None = None
    is_deterministic: bool | None = None
    has_radix_cache: bool | None = None
    streams_increments: bool | None = None
    has_aborts: bool = True
    has_tokenizer: bool = True
    has_loads: bool = True
    has_metrics: bool = False
    preferred_sampling: Mapping[str, object] = field(default_factory=dict[str, object])
    is_generation: bool = True
    architectures: tuple[str, ...] = ()

    @property
    def has_reward_head(self) -> bool:
        """Whether :meth:`AsyncPolicyClient.reward_scores` can be asked of it."""
        # An embedding model answers the same endpoint with a vector. SGLang tells them apart by these names, too
        # (model_loader/utils.py).
        names = [name.lower() for name in self.architectures]
        return not self.is_generation and (not names or any("classification" in n or "reward" in n for n in names))

    def within(self, context_length: int | None) -> ServerInfo:
        """These facts, with gaps in the limits of a request closed as far as one more number can.

        Args:
            context_length: for a router that tells none, or None when nobody knows.
        """
        known = replace(self, context_length=self.context_length or context_length)
        if known.window_tokens is None:
            return known
        # managers/tp_worker.py: max_req_len = min(context_len, KV pool) - 1, max_req_input_len = max_req_len - 5
        longest = known.window_tokens - 6
        told = known.max_input_tokens
        return replace(known, max_input_tokens=longest if told is None else min(told, longest))

    @property
    def native_batch(self) -> int | None:
        """Samples that all workers together decode without leaving their captured graphs; None when it is not told."""
        if self.captured_batch is None:
            return None
        each = min(self.captured_batch, self.max_running_requests or self.captured_batch)
        return each * self.copies

    @property
    def running_most(self) -> int | None:
        """Samples that all workers together decode at once at most; None when it is not told."""
        return None if self.max_running_requests is None else self.max_running_requests * self.copies

    @property
    def copies(self) -> int:
        """Copies of the model behind this address, each with a cache of its own."""
        return self.workers * (self.dp_size or 1)

    @property
    def window_tokens(self) -> int | None:
        """Tokens of prompt and output that the server holds for one request; None when it tells neither limit."""
        told = [limit for limit in (self.context_length, self.max_total_tokens) if limit is not None]
        return min(told, default=None)

    def __str__(self) -> str:
        front = self.frontend if self.frontend == "server" else f"{self.frontend}, {self.workers} workers"
        vocabulary = f"{self.vocab_size:,} (from {self.vocab_source})" if self.vocab_size is not None else _shown(None)
        rows = [
            ("SGLang", self.version or _shown(None)),
            ("front end", front),
            ("model", self.model_path),
            ("tokenizer", self.tokenizer_path),
            ("weights", self.weight_version),
            ("vocabulary", vocabulary),
            ("context", _shown(self.context_length, "tokens")),
            ("longest prompt", _shown(self.max_input_tokens and self.max_input_tokens - 1, "tokens")),
            ("KV cache", _shown(self.max_total_tokens, "tokens")),
            ("KV of a token", _shown(self.kv_bytes_per_token and round(self.kv_bytes_per_token), "bytes a GPU")),
            ("page", _shown(self.page_size, "tokens")),
            (
                "chunked prefill",
                "off" if self.chunked_prefill_size == -1 else _shown(self.chunked_prefill_size, "tokens"),
            ),
            ("running at most", _shown(self.max_running_requests, "samples")),
            ("captured batch", _shown(self.captured_batch, "samples", "none told")),
            ("queued at most", _shown(self.max_queued_requests, "samples", "no limit told")),
            ("data parallel", _shown(self.dp_size)),
            ("schedule policy", self.schedule_policy or _shown(None)),
            ("keep-alive", _shown(self.keep_alive_seconds, "s", "unknown (SGLang's default is 5 s)")),
            ("admin key", _shown(self.has_admin_key)),
            ("deterministic", _shown(self.is_deterministic)),
            ("prefix reuse", _shown(self.has_radix_cache)),
            ("streams", {True: "increments", False: "all so far", None: _shown(None)}[self.streams_increments]),
            ("aborts", _shown(self.has_aborts)),
            ("tokenises", _shown(self.has_tokenizer)),
            ("loads", _shown(self.has_loads)),
            ("metrics", _shown(self.has_metrics)),
        ]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _shown(value: float | None, unit: str = "", unknown: str = "unknown") -> str:
    if value is None:
        return unknown
    if isinstance(value, bool):
        return "yes" if value else "no"
    unit = unit.removesuffix("s") if value == 1 and len(unit) > 1 else unit
    return f"{value:,} {unit}".rstrip() if isinstance(value, int) else f"{value:g} {unit}".rstrip()


@dataclass(frozen=True, slots=True)
class ServerMetrics:
    """Counters of the server since it started, and its load now.

    Attributes:
        prefilled_tokens: prompt tokens that it computed.
        reused_tokens: prompt tokens that it found in its cache.
        generated_tokens: tokens that it sampled, counted when a request ends.
        running_requests: samples that decode now.
        waiting_requests: samples in its queue now.
    """

    prefilled_tokens: int
    reused_tokens: int
    generated_tokens: int
    running_requests: int
    waiting_requests: int

    def since(self, earlier: ServerMetrics) -> ServerMetrics:
        """What was counted after ``earlier``; the load is the present one."""
        return ServerMetrics(
            self.prefilled_tokens - earlier.prefilled_tokens,
            self.reused_tokens - earlier.reused_tokens,
            self.generated_tokens - earlier.generated_tokens,
            self.running_requests,
            self.waiting_requests,
        )


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The served model.

    Attributes:
        model_path: what the server was told to serve.
        tokenizer_path: whose tokenizer it uses.
        served_model_name: how it calls the model.
        is_generation: whether it generates text; False for embedding and reward models.
        weight_version: version of the weights.
        architectures: of the model's config.
    """

    model_path: str
    tokenizer_path: str
    served_model_name: str
    is_generation: bool
    weight_version: str
    architectures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WorkerLoad:
    """The load of one data-parallel worker now.

    Attributes:
        dp_rank: which worker.
        running_requests: samples that decode.
        waiting_requests: samples in its queue.
        used_tokens: tokens of its KV cache that are in use.
        max_total_tokens: tokens that its KV cache holds.
        token_usage: the share of it in use, 0 to 1.
        tokens_per_second: generated lately.
        cache_hit_rate: of the last prefills, 0 to 1; coarse.
    """

    dp_rank: int
    running_requests: int
    waiting_requests: int
    used_tokens: int
    max_total_tokens: int
    token_usage: float
    tokens_per_second: float
    cache_hit_rate: float
