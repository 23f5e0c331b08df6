"""How a fake server is set up: the flags of SGLang that a client can feel. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .dialect import dialect_of

__all__ = ["FakeOptions", "Version"]

Version = Literal["0.5.14", "0.5.18", "0.5.23"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeOptions:
    """Flags, with SGLang's names and defaults where it has them; sizes are those of the profile ``tiny``.

    Attributes:
        version: which SGLang it imitates.
        model_path: what it says that it serves.
        context_length: tokens of prompt and output together.
        max_total_tokens: tokens that the KV cache holds.
        max_running_requests: samples that decode at once.
        max_queued_requests: samples that may wait; more are refused with 503. None for any number.
        page_size: tokens of a page of the cache.
        schedule_policy: order of waiting samples; ``lpm`` is ``fcfs`` while more than 128 wait.
        chunked_prefill_size: tokens of prompts computed in one step, or None for whole prompts.
        max_prefill_tokens: the same limit for prompts that are not cut.
        disable_radix_cache: nothing is reused.
        enable_deterministic_inference: seeds are used; without one, all requests have seed 42.
        enable_metrics: there is ``/metrics``.
        incremental_streaming_output: streams send what is new, instead of all so far.
        stream_interval: tokens between two events of a stream.
        grammar_backend: ``none`` refuses grammars; otherwise they are taken, and the model does not obey them.
        has_chat_template: ``/tokenize`` takes messages (ChatML).
        api_key: needed by all routes but health and metrics.
        admin_api_key: needed by abort and flush instead, when it is set.
        keep_alive_seconds: an idle connection is closed after this time.
        disconnect_poll_seconds: how often a waiting request looks whether its client is still there.
        stream_abort_seconds: how long after a stream was closed 0.5.14 stops it.
        health_seconds: how long ``/health`` takes.
        reward_outputs: outputs of the head of a reward model, which it serves instead of a policy; 0 for a policy.
        weight_version: version of the weights.
        seed: of the draws.
    """

    version: Version = "0.5.18"
    model_path: str = "fake-model"
    context_length: int = 2048
    max_total_tokens: int = 65536
    max_running_requests: int = 64
    max_queued_requests: int | None = None
    page_size: int = 1
    schedule_policy: Literal["fcfs", "lpm"] = "fcfs"
    chunked_prefill_size: int | None = 8192
    max_prefill_tokens: int = 16384
    disable_radix_cache: bool = False
    enable_deterministic_inference: bool = False
    enable_metrics: bool = True
    incremental_streaming_output: bool = False
    stream_interval: int = 1
    grammar_backend: Literal["xgrammar", "none"] = "xgrammar"
    has_chat_template: bool = True
    api_key: str | None = None
    admin_api_key: str | None = None
    keep_alive_seconds: float = 5.0
    disconnect_poll_seconds: float = 4.0
    stream_abort_seconds: float = 2.0
    health_seconds: float = 1.0
    reward_outputs: int = 0
    weight_version: str = "default"
    seed: int = 0

    def __post_init__(self) -> None:
        dialect_of(self.version)
        for name in ("context_length", "max_total_tokens", "max_running_requests", "page_size", "stream_interval"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: at least 1")
        if self.reward_outputs < 0:
            raise ValueError(f"reward_outputs = {self.reward_outputs}: at least 1, or 0 for a policy")
        if self.max_total_tokens % self.page_size:
            raise ValueError(f"max_total_tokens = {self.max_total_tokens}: a multiple of page_size = {self.page_size}")
        if self.chunked_prefill_size is not None and self.chunked_prefill_size < self.page_size:
            raise ValueError(f"chunked_prefill_size = {self.chunked_prefill_size}: at least a page, or None")

    @property
    def max_request_tokens(self) -> int:
        """Prompt and output of one request fit in this (``max_req_len``)."""
        return min(self.context_length, self.max_total_tokens) - 1

    @property
    def max_input_tokens(self) -> int:
        """A prompt must be shorter than this (``max_req_input_len``)."""
        return self.max_request_tokens - 5
