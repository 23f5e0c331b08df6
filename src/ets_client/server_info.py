"""What a running server says of itself."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ModelInfo", "ServerInfo", "ServerMetrics", "WorkerLoad"]


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """Facts of the server that decide what a client may ask.

    Attributes:
        version: SGLang's version, or "" when it is not told.
        model_path: what it serves.
        tokenizer_path: whose tokenizer it uses.
        context_length: tokens of prompt and output together.
        max_input_tokens: a prompt must be shorter than this.
        max_total_tokens: tokens that the KV cache holds.
        page_size: tokens of a cache page; reuse is rounded down to it.
        schedule_policy: order of waiting requests (``lpm``, ``fcfs``, …).
        has_metrics: whether ``/metrics`` is there.
        is_deterministic: whether seeds are used (``--enable-deterministic-inference``).
        has_radix_cache: whether prefixes are reused at all.
        streams_increments: whether a stream holds what is new, and not everything so far in each chunk.
        weight_version: version of the weights; prefixes of different ones share nothing.
        is_generation: whether it generates text; False for embedding and reward models, which die of ``/generate``.
        architectures: of the model's config; none where the server does not tell.
    """

    version: str
    model_path: str
    tokenizer_path: str
    context_length: int
    max_input_tokens: int
    max_total_tokens: int
    page_size: int
    schedule_policy: str
    has_metrics: bool
    is_deterministic: bool
    has_radix_cache: bool
    streams_increments: bool
    weight_version: str
    is_generation: bool = True
    architectures: tuple[str, ...] = ()

    @property
    def has_reward_head(self) -> bool:
        """Whether :meth:`AsyncPolicyClient.reward_scores` can be asked of it."""
        # An embedding model answers the same endpoint with a vector. SGLang tells them apart by these names, too
        # (model_loader/utils.py).
        names = [name.lower() for name in self.architectures]
        return not self.is_generation and (not names or any("classification" in n or "reward" in n for n in names))


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
