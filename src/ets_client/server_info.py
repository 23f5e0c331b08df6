"""What a running server says of itself."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ServerInfo", "ServerMetrics"]


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
        weight_version: version of the weights; prefixes of different ones share nothing.
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
    weight_version: str


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
