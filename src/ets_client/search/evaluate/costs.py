"""What a search cost. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .kv import published_kv, resident_kv

if TYPE_CHECKING:
    from ..loaded import LoadedQuestion

__all__ = ["Costs", "costs_of"]


@dataclass(frozen=True, slots=True)
class Costs:
    """What one question cost.

    Attributes:
        samples: drawn, those included that came out as others did.
        generated_tokens: on the policy.
        prompt_tokens: sent to the policy.
        cached_tokens: of these, found in its cache.
        scoring_tokens: sent to the reward server.
        seconds: from the root to the vote.
        published_kv: ETS's own KV figure; see :func:`published_kv`.
        mean_kv: tokens that the server had to hold, prompt counted, after pruning, mean over the decisions.
        peak_kv: the most of these.
    """

    samples: int
    generated_tokens: int
    prompt_tokens: int
    cached_tokens: int
    scoring_tokens: int
    seconds: float
    published_kv: int
    mean_kv: float
    peak_kv: int


def costs_of(question: LoadedQuestion) -> Costs:
    """What a question cost.

    Args:
        question: as it was recorded.
    """
    usage = question.usage
    resident = resident_kv(question)
    return Costs(
        samples=sum(node.multiplicity for node in question.nodes.values() if node.parent is not None),
        generated_tokens=usage.completion_tokens,
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=usage.cached_tokens,
        scoring_tokens=question.scoring_usage.prompt_tokens,
        seconds=question.seconds,
        published_kv=published_kv(question),
        mean_kv=resident.mean,
        peak_kv=resident.peak,
    )
