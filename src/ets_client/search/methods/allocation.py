"""How a width is shared out among nodes: exactly, never more and never less."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["beam_allocation", "best_first", "even_allocation", "rebase_allocation"]


def best_first(scores: Sequence[float]) -> list[int]:
    """Places from the best score to the worst, equal ones in their order; NaN is minus infinity here."""
    return sorted(range(len(scores)), key=lambda place: math.inf if math.isnan(scores[place]) else -scores[place])


def even_allocation(width: int, shares: int) -> list[int]:
    """``width`` in equal shares, the first ones with one more where it does not come out even.

    Args:
        width: to share out, >= 0.
        shares: how many, >= 1.
    """
    each, more = divmod(width, shares)
    return [each + (place < more) for place in range(shares)]


def beam_allocation(scores: Sequence[float], width: int, beams: int | None = None) -> list[int]:
    """Beam search: the best nodes get equal shares, the very best one more where it does not come out even.

    Args:
        scores: one a node; higher is better.
        width: children to share out, >= 0.
        beams: nodes to keep; None: the root of the width, rounded up.

    Returns:
        Children of each node, in the order of the scores; their sum is ``width`` when there is a node.
    """
    counts = [0] * len(scores)
    kept = best_first(scores)[: beams or math.ceil(math.sqrt(width))]
    for place, count in zip(kept, even_allocation(width, max(1, len(kept))), strict=False):
        counts[place] = count
    return counts


def rebase_allocation(scores: Sequence[float], width: int, temperature: float) -> list[int]:
    """Share out ``width`` children by the softmax of the scores, best first, each taking its share rounded up.

    The published code does this in float32, where cancellation makes the sum ``width + 1`` at times;
    here the remaining weight is summed again for each node and no node takes more than is left, so the sum is
    ``width`` always.

    Args:
        scores: one a node; higher is better. Minus infinity and NaN get nothing while any node has a real score; nodes
            at infinity share all of it.
        width: children to share out, >= 0.
        temperature: of the softmax, > 0; low ones give nearly everything to the best.

    Returns:
        Children of each node, in the order of the scores; equal scores are served in their order.

    Raises:
        ValueError: ``width`` or ``temperature`` is out of range.
    """
    if width < 0 or not temperature > 0:
        raise ValueError(f"width = {width}, temperature = {temperature}: width >= 0 and temperature > 0")
    counts = [0] * len(scores)
    order = sorted((place for place, score in enumerate(scores) if score > -math.inf), key=lambda place: -scores[place])
    order = order or list(range(len(scores)))
    top = scores[order[0]] if order and scores[order[0]] > -math.inf else None
    # Infinity less infinity is no number: who is as good as the best weighs 1.
    weights = [
        1.0 if top is None or scores[place] == top else math.exp((scores[place] - top) / temperature) for place in order
    ]
    left = width
    per_weight = math.inf
    for rank, place in enumerate(order):
        if left == 0 or weights[rank] == 0:
            break
        # Who takes a share rounded up leaves less for each weight to the others. The tolerance below may leave a hair
        # more, by which one of two nearly equal nodes would get 73 children and the better one 72.
        per_weight = min(per_weight, left / math.fsum(weights[rank:]))
        share = per_weight * weights[rank]
        counts[place] = min(left, math.ceil(share - 1e-9))  # 1e-9: a share of 4 that came out as 4.0000000001
        left -= counts[place]
    return counts
