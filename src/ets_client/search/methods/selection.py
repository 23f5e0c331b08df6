"""ETS's selection: the leaves that are worth the nodes above them (Hooper et al., arXiv 2502.13575)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Selection", "best_selection", "forest_gains", "select_leaves"]


@dataclass(frozen=True, slots=True)
class Selection:
    """What is kept.

    Attributes:
        kept: places of the kept leaves, ascending.
        objective: what they are worth, less what they cost, with what covered clusters bring.
        solver: ``programme`` when the tree programme alone has found it, ``highs`` when an integer programme was left.
    """

    kept: tuple[int, ...]
    objective: float
    solver: str = "programme"


def select_leaves(
    parents: Sequence[int],
    leaves: Sequence[int],
    values: Sequence[float],
    costs: Sequence[float],
    clusters: Sequence[int] | None = None,
    cluster_value: float = 0.0,
) -> Selection:
    """The leaves, at least one, whose values and clusters are worth most, less the costs of all nodes on their paths.

    The optimum is exact. Without clusters it takes one pass over the tree; with them, the same pass decides nearly all
    leaves, and HiGHS (``scipy.optimize.milp``) the few that are left.

    Args:
        parents: of each node, the number of the one above, which is smaller; -1 for the root, node 0.
        leaves: numbers of the nodes to choose from; every other node is above one of them.
        values: of each leaf.
        costs: of each node; negative ones pay for keeping it.
        clusters: a label for each leaf.
        cluster_value: of each cluster that has a kept leaf, >= 0.

    Raises:
        ConfigurationError: scipy is needed and not installed.
    """
    gains = [-cost for cost in costs]
    for leaf, value in zip(leaves, values, strict=True):
        gains[leaf] += value
    if clusters is None or cluster_value == 0:
        return best_selection(parents, leaves, gains)
    from .coverage import select_covering

    return select_covering(parents, leaves, gains, clusters, cluster_value)


def forest_gains(parents: Sequence[int], gains: Sequence[float]) -> list[float]:
    """What each subtree is worth at most, when it is kept and a leaf of it.

    The value of a node is its own, and of those below it all that gain, or the best when none does.

    Args:
        parents: as for :func:`select_leaves`.
        gains: of each node, its value less its cost.
    """
    # best: of the nodes below one, the most that any is worth.
    total = list(gains)
    best: list[float | None] = [None] * len(total)
    for node in range(len(total) - 1, 0, -1):
        least = best[node]
        worth = total[node] if least is None or least > 0 else total[node] + least
        total[node] = worth
        parent = parents[node]
        above = best[parent]
        if worth > 0:
            total[parent] += worth
            best[parent] = worth if above is None or above < worth else above
        elif above is None or above < worth:
            best[parent] = worth
    if best and best[0] is not None and best[0] <= 0:
        total[0] += best[0]
    return total


def best_selection(parents: Sequence[int], leaves: Sequence[int], gains: Sequence[float]) -> Selection:
    """The leaves that are worth most when clusters count nothing.

    Args:
        parents: as for :func:`select_leaves`.
        leaves: as there.
        gains: of each node, its value less its cost.
    """
    worth = forest_gains(parents, gains)
    best: dict[int, int] = {}
    for node in range(1, len(worth)):
        other = best.setdefault(parents[node], node)
        if worth[node] > worth[other]:
            best[parents[node]] = node
    kept = [False] * len(worth)
    kept[0] = True
    for node in range(1, len(worth)):
        parent = parents[node]
        kept[node] = kept[parent] and (worth[node] > 0 or best[parent] == node)
    return Selection(tuple(place for place, leaf in enumerate(leaves) if kept[leaf]), worth[0])
