"""Random levels for ETS's selection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ets_client.search.methods import rebase_allocation

if TYPE_CHECKING:
    import random


@dataclass(frozen=True)
class Level:
    parents: list[int]
    leaves: list[int]
    values: list[float]


def random_level(rng: random.Random, leaves: int, *, depth: int) -> Level:
    """A tree as a search makes it: few nodes above, most leaves below few of them; values as REBASE shares them out."""
    parents, level = [-1], [0]
    for at in range(1, depth + 1):
        weights = [rng.random() ** 3 + 0.01 for _ in level]
        count = leaves if at == depth else max(1, int(rng.uniform(0.1, 0.5) * leaves))
        chosen = rng.choices(level, weights, k=count)
        level = list(range(len(parents), len(parents) + count))
        parents += chosen
    used: set[int] = set()
    for leaf in level:
        node = leaf
        while node >= 0 and node not in used:
            used.add(node)
            node = parents[node]
    place = {node: number for number, node in enumerate(sorted(used))}
    counts = rebase_allocation([rng.random() for _ in level], leaves, 0.2)
    return Level(
        [place.get(parents[node], -1) for node in sorted(used)],
        [place[leaf] for leaf in level],
        [count / leaves for count in counts],
    )
