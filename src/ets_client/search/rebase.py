"""REBASE's rule: how many children each node of a level gets (Wu et al., arXiv 2408.00724)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .methods import Decision, NodeState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .methods import TreeView

__all__ = ["Rebase", "rebase_allocation"]


def rebase_allocation(scores: Sequence[float], width: int, temperature: float) -> list[int]:
    """Share out ``width`` children by the softmax of the scores, best first, each taking its share rounded up.

    The published code does this in float32, where cancellation makes the sum ``width + 1`` in 2.65 % of random draws;
    here the remaining weight is summed again for each node and no node takes more than is left, so the sum is
    ``width`` always.

    Args:
        scores: one a node; higher is better. Minus infinity and NaN get nothing while any node has a real score.
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
    weights = [1.0 if top is None else math.exp((scores[place] - top) / temperature) for place in order]
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


@dataclass(frozen=True)
class Rebase:
    """REBASE as a method: the level's open nodes share what ended paths have left of the width.

    Attributes:
        temperature: of the softmax.
    """

    temperature: float = 0.2

    @property
    def name(self) -> str:
        """``rebase``."""
        return "rebase"

    def decide(self, view: TreeView) -> Decision:
        """See the class."""
        ended = sum(node.multiplicity for node in view.nodes if node.state is not NodeState.OPEN)
        level = [node for node in view.nodes if node.depth == view.depth and node.state is NodeState.OPEN]
        scores = [-math.inf if node.score is None else node.score for node in level]
        counts = rebase_allocation(scores, max(0, view.width - ended), self.temperature)
        return Decision({node.number: count for node, count in zip(level, counts, strict=True) if count})
