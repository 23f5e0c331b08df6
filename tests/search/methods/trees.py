"""Trees for the tests of the methods."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ets_client.search.methods import NodeState, NodeView, TreeView

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

ROOT = NodeView(0, -1, 0, 2, 1.0)
SCORES_A = [0.92, 0.90, 0.71, 0.55, 0.54, 0.30, 0.12, 0.05]
CLUSTERS_B = {4: 0, 5: 1, 6: 2, 7: 2, 8: 0, 9: 3, 10: 0}


@dataclass(frozen=True)
class ByText:
    """Clusters whose label is the text's number."""

    name: str = "by text"

    def clusters(self, texts: Sequence[str]) -> list[int]:
        return [int(text) for text in texts]


def tree_a(width: int) -> TreeView:
    """A root with eight children."""
    return TreeView([ROOT, *(NodeView(place, 0, 1, 40, score) for place, score in enumerate(SCORES_A, 1))], 1, width)


def tree_b(width: int) -> TreeView:
    """Three branches of different size, on the second level."""
    rows = [(0, 40, 0.8), (0, 40, 0.7), (0, 40, 0.6), (1, 30, 0.90), (1, 30, 0.88), (1, 30, 0.40), (1, 30, 0.20)]
    rows += [(2, 50, 0.85), (2, 50, 0.30), (3, 60, 0.82)]
    nodes = [ROOT]
    for number, (parent, tokens, score) in enumerate(rows, 1):
        text = str(CLUSTERS_B.get(number, ""))
        nodes.append(NodeView(number, parent, nodes[parent].depth + 1, tokens, score, text))
    return TreeView(nodes, 2, width)


def random_tree(rng: random.Random, *, depth: int, level: int, width: int, missing: float = 0.0) -> TreeView:
    """A tree of a few levels, some of whose paths have ended, the last one to decide. Scores are often equal."""
    nodes = [ROOT]
    last = [0]
    for at in range(1, depth + 1):
        below: list[int] = []
        for parent in sorted(rng.choices(last, k=rng.randint(1, level))):
            score = rng.random() if rng.random() < 0.5 else round(rng.random(), 1)
            state = rng.choices([NodeState.OPEN, NodeState.ENDED, NodeState.SPENT], [0.8, 0.15, 0.05])[0]
            node = NodeView(len(nodes), parent, at, rng.randint(1, 60), score, str(rng.randrange(4)), state)
            nodes.append(replace(node, score=None) if rng.random() < missing else node)
            below += [] if state is not NodeState.OPEN else [node.number]
        if not below:
            return TreeView(nodes, at, width)
        last = below
    return TreeView(nodes, depth, width)
