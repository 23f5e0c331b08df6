"""How an expand is asked: in one request, or its first sample alone and the others when the prefix is cached."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

__all__ = ["ExpandPlan", "Shape", "plan_expand"]

Shape = Literal["batch", "server_n", "router"]


@dataclass(frozen=True, slots=True)
class ExpandPlan:
    """The decision and its reason.

    Attributes:
        first: what goes before the other samples: ``leader``, the first of them as a stream, whose first token shows
            that the prefix is cached; ``prefill``, a request without output; or None.
        reason: one line for people.
    """

    first: Literal["leader", "prefill"] | None
    reason: str


@lru_cache  # most expands are of a few sizes and on warm prefixes
def plan_expand(n: int, cold_tokens: int, shape: Shape = "batch") -> ExpandPlan:
    """Decide how to ask for ``n`` samples.

    A batch on a cold prefix computes it once for every sample (166,080 prefilled tokens instead of 15,328 in the
    32-tree workload that this package was designed with), so one sample computes it for all.

    Args:
        n: samples.
        cold_tokens: of the prefix, tokens that should be in the cache and are not.
        shape: what one request for several samples looks like: a ``batch`` of prompts with ids and sampling of their
            own, SGLang's own ``n`` (``server_n``), or a batch as its ``router`` takes it.
    """
    if n > 1 and shape == "server_n":  # SGLang computes the prompt alone before the samples, warm or cold
        return ExpandPlan(None, f"one request with n = {n}: the server prefills, then samples")
    if shape == "router":
        # It drops stream_interval: a leader would come as a chunk a token, each with all tokens so far.
        if n == 1:
            return ExpandPlan(None, "one sample")
        batch = f"one batch of {n} through the router"
        if cold_tokens:
            return ExpandPlan("prefill", f"prefill {cold_tokens} cold tokens once, then {batch}")
        return ExpandPlan(None, f"{batch}: the prefix is warm where its tree was sent before")
    if cold_tokens == 0:
        return ExpandPlan(None, "one sample" if n == 1 else f"one batch of {n}: the prefix is warm")
    if n == 1:
        return ExpandPlan("leader", f"one sample, which computes {cold_tokens} cold tokens")
    others = "the other one" if n == 2 else f"one batch of {n - 1}"
    return ExpandPlan("leader", f"the first sample computes {cold_tokens} cold tokens, then {others}")
