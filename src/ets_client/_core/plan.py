"""How an expand is asked: as one batch, or after one request that puts the prefix into the cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["ExpandPlan", "Shape", "plan_expand"]

Shape = Literal["batch", "server_n", "router"]


@dataclass(frozen=True, slots=True)
class ExpandPlan:
    """The decision and its reason.

    Attributes:
        warms_first: whether a request without output goes before the samples'.
        reason: one line for people.
    """

    warms_first: bool
    reason: str


def plan_expand(n: int, prefix_tokens: int, warm_tokens: int, shape: Shape = "batch") -> ExpandPlan:
    """Decide how to ask for ``n`` samples.

    A batch on a cold prefix computes it once for every sample (166,080 prefilled tokens instead of 15,328 in the
    32-tree workload that this package was designed with), so a cold part is computed alone first.

    Args:
        n: samples.
        prefix_tokens: length of the prefix.
        warm_tokens: of these, tokens that should be in the cache.
        shape: what one request for several samples looks like: a ``batch`` of prompts with ids and sampling of their
            own, SGLang's own ``n`` (``server_n``), or a batch as its ``router`` takes it.
    """
    if n == 1:
        return ExpandPlan(warms_first=False, reason="one sample")
    if shape == "server_n":  # SGLang computes the prompt alone before the samples, warm or cold
        return ExpandPlan(warms_first=False, reason=f"one request with n = {n}: the server prefills, then samples")
    batch = f"one batch of {n}" if shape == "batch" else f"one batch of {n} through the router"
    cold = prefix_tokens - warm_tokens
    if cold <= 1:  # SGLang always computes the last token again
        where = "" if shape == "batch" else " where its tree was sent before"
        return ExpandPlan(warms_first=False, reason=f"{batch}: the prefix is warm{where}")
    return ExpandPlan(warms_first=True, reason=f"prefill {cold} cold tokens once, then {batch}")
