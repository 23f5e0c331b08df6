"""ETS's selection with clusters: the tree programme decides what it can, an integer programme the rest.

Two passes bound each subtree: one in which no undecided cluster pays, one in which each pays every leaf that could
cover it. What gains without is kept, what does not gain even so is dropped; both settle clusters, and so on until
nothing changes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .programme import solve
from .selection import Selection, best_selection, forest_gains

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["select_covering"]


def select_covering(
    parents: Sequence[int], leaves: Sequence[int], gains: Sequence[float], clusters: Sequence[int], value: float
) -> Selection:
    """The best selection when each covered cluster brings ``value``.

    Args:
        parents: as for :func:`~.selection.select_leaves`.
        leaves: as there.
        gains: of each node, its value less its cost.
        clusters: a label for each leaf.
        value: of a covered cluster, > 0.

    Raises:
        ConfigurationError: scipy is needed and not installed.
    """
    rest = _Undecided(parents, leaves, gains, clusters, value)
    rest.reduce()
    solver = "programme"
    if rest.covering:
        solver = "highs"
        rest.settle(solve(parents, rest.gains, rest.open_nodes(), rest.covering.values(), value))
    kept = best_selection(parents, leaves, rest.gains).kept
    if forest_gains(parents, rest.gains)[0] <= rest.gains[0] and len(parents) > 1:
        # Nothing gains, but a leaf must be kept: what was dropped may be needed, since it costs least with others.
        solver = "highs"
        members = _members(leaves, clusters).values()
        chosen = set(solve(parents, gains, range(len(parents)), members, value, some=True))
        kept = tuple(place for place, leaf in enumerate(leaves) if leaf in chosen)
    return Selection(kept, _objective(parents, leaves, gains, clusters, value, kept), solver)


class _Undecided:
    """What is not decided yet.

    Attributes:
        gains: of each node; with the value of clusters that it alone covers; minus infinity when dropped.
        covering: of each cluster that is not settled, the leaves that could cover it.
    """

    def __init__(
        self,
        parents: Sequence[int],
        leaves: Sequence[int],
        gains: Sequence[float],
        clusters: Sequence[int],
        value: float,
    ) -> None:
        self._parents, self._value = parents, value
        self.gains = list(gains)
        self._sure = [False] * len(parents)
        self._sure[0] = True
        self.covering: dict[int, list[int]] = {}
        for label, members in _members(leaves, clusters).items():
            # Of siblings in one cluster the best covers it at least cost.
            best: dict[int, int] = {}
            for leaf in members:
                other = best.setdefault(parents[leaf], leaf)
                if gains[leaf] > gains[other]:
                    best[parents[leaf]] = leaf
            self.covering[label] = list(best.values())

    def reduce(self) -> None:
        """Decide all that the bounds decide."""
        while self._settle_clusters() or self._settle_nodes():
            pass

    def open_nodes(self) -> list[int]:
        """Nodes that are neither kept nor dropped."""
        return [node for node, gain in enumerate(self.gains) if not self._sure[node] and gain > -math.inf]

    def settle(self, chosen: Iterable[int]) -> None:
        """Take over which of the open nodes are kept."""
        kept = set(chosen)
        for node in self.open_nodes():
            self.gains[node] = self._value if node in kept else -math.inf
        self.covering.clear()

    def _settle_clusters(self) -> bool:
        settled = False
        for label, members in list(self.covering.items()):
            left = [leaf for leaf in members if self.gains[leaf] > -math.inf]
            sure = next((leaf for leaf in left if self._sure[leaf]), None)
            free = [leaf for leaf in left if self._sure[self._parents[leaf]]]
            if free:
                # A leaf whose parent is kept anyway covers the cluster as well as any that is worth no more by itself.
                best = max(free, key=lambda leaf: self.gains[leaf])
                left = [leaf for leaf in left if leaf == best or self.gains[leaf] > self.gains[best]]
            if sure is not None or len(left) <= 1:
                settled = True
                del self.covering[label]
                for leaf in [sure] if sure is not None else left:
                    self.gains[leaf] += self._value
            else:
                self.covering[label] = left
        return settled

    def _settle_nodes(self) -> bool:
        parents, gains, sure = self._parents, self.gains, self._sure
        most = list(gains)
        for members in self.covering.values():
            for leaf in members:
                most[leaf] += self._value
        low, high = forest_gains(parents, gains), forest_gains(parents, most)
        settled = False
        for node in range(1, len(parents)):
            if gains[node] == -math.inf:
                continue
            if high[node] <= 0 or gains[parents[node]] == -math.inf:
                gains[node] = -math.inf
                settled = True
            elif not sure[node] and sure[parents[node]] and low[node] > 0:
                sure[node] = settled = True
        return settled


def _members(leaves: Sequence[int], clusters: Sequence[int]) -> dict[int, list[int]]:
    members: dict[int, list[int]] = {}
    for leaf, label in zip(leaves, clusters, strict=True):
        members.setdefault(label, []).append(leaf)
    return members


def _objective(
    parents: Sequence[int], leaves: Sequence[int], gains: Sequence[float], clusters: Sequence[int], value: float,
    kept: Iterable[int],
) -> float:  # fmt: skip
    nodes, labels = {0}, set[int]()
    for place in kept:
        labels.add(clusters[place])
        node = leaves[place]
        while node not in nodes:
            nodes.add(node)
            node = parents[node]
    return math.fsum(gains[node] for node in nodes) + value * len(labels)
