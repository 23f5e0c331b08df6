"""The allocations of the published code (SqueezeAILab/ETS ac937a7, rebase.py), float32 and defects included.

REBASE and ETS share out children one node after the other, best first, each taking its share of what is left, rounded
up. The remaining weight is found by subtraction in float32, which may leave a hair too little of it for the last ones:
then one child too many is given.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .float32 import exp32, round32, sum32

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

__all__ = [
    "published_beam_allocation",
    "published_ets_allocation",
    "published_ets_values",
    "published_rebase_allocation",
    "reverse_ties",
]


def reverse_ties(scores: Sequence[float]) -> list[int]:
    """Places from the best score to the worst, equal ones last come first: an ascending sort that is then reversed."""
    return sorted(range(len(scores)), key=lambda place: scores[place])[::-1]


def published_rebase_allocation(scores: Sequence[float], width: int, temperature: float) -> list[int]:
    """REBASE's children (``select_softmax``).

    Args:
        scores: one a node.
        width: children to share out; one more may be given.
        temperature: of the softmax.

    Returns:
        Children of each node, in the order of the scores.

    Raises:
        ArithmeticError: the published code dies here, for its weights are infinite or used up.
    """
    order = reverse_ties(scores)
    weights = [exp32(round32(round32(scores[place]) / round32(temperature))) for place in order]
    return _restored(order, _ceilings(weights, width, guarded=False))


def published_ets_values(scores: Sequence[float], width: int, temperature: float) -> list[float]:
    """What each node is worth to ETS: the share of children that it would get, equal scores in their order.

    Args:
        scores: one a node.
        width: children to share out.
        temperature: of the softmax.

    Raises:
        ArithmeticError: the published code dies here, for its weights are infinite or all nothing.
    """
    order = sorted(range(len(scores)), key=lambda place: scores[place], reverse=True)
    weights = [exp32(round32(round32(scores[place]) / round32(temperature))) for place in order]
    counts = _restored(order, _ceilings(weights, width, guarded=True))
    return [count / sum(counts) for count in counts]


def published_ets_allocation(
    scores: Sequence[float], kept: Container[int], width: int, temperature: float
) -> list[int]:
    """ETS's children after its selection. A kept node may get none.

    Args:
        scores: one a node.
        kept: places of the nodes that were selected.
        width: children to share out; one more may be given.
        temperature: of the softmax.

    Raises:
        ArithmeticError: the published code dies here, for its weights are infinite.
    """
    # Here the division is in float64, unlike in REBASE. Pruned nodes weigh nothing, and are counted in the sum's lanes.
    logits = [score / temperature if place in kept else -math.inf for place, score in enumerate(scores)]
    order = reverse_ties(logits)
    weights = [exp32(round32(logits[place])) for place in order]
    return _restored(order, _ceilings(weights, width, guarded=True))


def published_beam_allocation(scores: Sequence[float], width: int, beams: int | None = None) -> list[int]:
    """Beam search's children (``select_beam_search``): ``ceil(width / beams)`` for each of the best.

    Args:
        scores: one a node.
        width: children to share out; more may be given, or less when there are fewer nodes than beams.
        beams: nodes to keep; None: the root of the width, rounded up.
    """
    keep = beams or math.ceil(math.sqrt(width))
    counts = [0] * len(scores)
    for place in reverse_ties(scores)[:keep]:
        counts[place] = math.ceil(width / keep)
    return counts


def _ceilings(weights: Sequence[float], width: int, *, guarded: bool) -> list[int]:
    left, total = width, sum32(weights)
    counts: list[int] = []
    for weight in weights:
        if guarded and not total > 0:
            counts.append(0)
            continue
        share = round32(round32(left * weight) / total) if total else math.nan
        if not math.isfinite(share):
            raise ArithmeticError(f"the published allocation divides {left} * {weight:g} by {total:g}")
        counts.append(math.ceil(share))
        left -= counts[-1]
        total = round32(total - weight)
    return counts


def _restored(order: Sequence[int], counts: Sequence[int]) -> list[int]:
    restored = [0] * len(order)
    for place, count in zip(order, counts, strict=True):
        restored[place] = count
    return restored
