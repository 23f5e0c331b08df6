"""How long ETS's selection takes a level: `python benchmarks/selection.py [OUT.json]`.

The levels are those of simulated searches by ETS itself, at the published settings: children's scores wander from
their parent's, no path ends, and steps of one parent say the same more often than others. Each level is solved without
clusters; with them; with them by the integer programme alone, which shows what the passes over the tree save; and as
published, by CBC through PuLP. "Hard" are the same levels with clusters drawn at random all over the tree and
lambda_c = 2, which leaves more to the integer programme. CPU time, each level solved in all ways before the next.
"""

from __future__ import annotations

import random
import resource
import statistics
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import pulp
import scipy
from machine import publish, where

from ets_client.search.methods import (
    CharNgrams,
    Ets,
    NodeView,
    TextClusters,
    TreeView,
    rebase_allocation,
    select_leaves,
)
from ets_client.search.methods.programme import solve

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LAMBDA_S = {16: 1.5, 64: 1.4, 256: 1.45}
SEARCHES = {16: 40, 64: 20, 256: 10}
DEPTH = 8


class ByText:
    """Texts that are their own labels."""

    name = "by text"

    def clusters(self, texts: Sequence[str]) -> list[int]:
        return [int(text) for text in texts]


def levels(rng: random.Random, width: int) -> list[TreeView]:
    """The levels that one search has to decide."""
    method = Ets(1.0, LAMBDA_S[width], clusterer=ByText())
    nodes = [NodeView(0, -1, 0, 200, 1.0)]
    found: list[TreeView] = []
    for depth in range(DEPTH):
        view = TreeView(list(nodes), depth, width)
        found.append(view)
        for number, count in method.decide(view).children.items():
            base = nodes[number].score or 0.0
            kinds = [rng.randrange(10**6) for _ in range(max(1, count // 2))]
            for _ in range(count):
                score = min(1.0, max(0.0, (0.6 if number == 0 else base) + rng.gauss(0, 0.15)))
                tokens, text = rng.randint(10, 80), str(rng.choice(kinds))
                nodes.append(NodeView(len(nodes), number, depth + 1, tokens, score, text))
    return found[1:]


def problem(view: TreeView, lambda_s: float) -> dict[str, Any]:
    """A level as plain lists, as Ets makes it."""
    level = [node for node in view.nodes if node.depth == view.depth]
    above: set[int] = set()
    for node in level:
        number = node.number
        while number >= 0 and number not in above:
            above.add(number)
            number = view.nodes[number].parent
    order = sorted(above)
    place = {number: column for column, number in enumerate(order)}
    counts = rebase_allocation([node.score or 0.0 for node in level], view.width, 0.2)
    labels = [int(node.text) for node in level]
    return {
        "parents": [place.get(view.nodes[number].parent, -1) for number in order],
        "leaves": [place[node.number] for node in level],
        "values": [count / view.width for count in counts],
        "costs": [1.0 / len(order)] * len(order),
        "clusters": labels,
        "cluster_value": lambda_s / len(set(labels)),
    }


def harder(level: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """The same with clusters that cut across the tree, and nodes that cost twice as much."""
    labels = [rng.randrange(max(2, len(level["leaves"]) // 3)) for _ in level["leaves"]]
    value = level["cluster_value"] * len(set(level["clusters"])) / len(set(labels))
    return {**level, "costs": [2 * cost for cost in level["costs"]], "clusters": labels, "cluster_value": value}


def by_programme_alone(level: dict[str, Any]) -> None:
    gains = [-cost for cost in level["costs"]]
    for leaf, value in zip(level["leaves"], level["values"], strict=True):
        gains[leaf] += value
    members: dict[int, list[int]] = {}
    for leaf, label in zip(level["leaves"], level["clusters"], strict=True):
        members.setdefault(label, []).append(leaf)
    solve(level["parents"], gains, range(len(gains)), members.values(), level["cluster_value"], some=True)


def as_published(level: dict[str, Any]) -> None:
    """The formulation of the original, a link for each leaf and each node above it."""
    task = pulp.LpProblem("level", pulp.LpMaximize)
    keep = [pulp.LpVariable(f"keep_{node}", cat="Binary") for node in range(len(level["parents"]))]
    covered = {label: pulp.LpVariable(f"covered_{label}", cat="Binary") for label in set(level["clusters"])}
    below: dict[int, list[int]] = {}
    for leaf in level["leaves"]:
        above = level["parents"][leaf]
        while above >= 0:
            below.setdefault(above, []).append(leaf)
            above = level["parents"][above]
    task += (
        pulp.lpSum(value * keep[leaf] for leaf, value in zip(level["leaves"], level["values"], strict=True))
        - pulp.lpSum(cost * each for cost, each in zip(level["costs"], keep, strict=True))
        + pulp.lpSum(level["cluster_value"] * each for each in covered.values())
    )
    for node, leaves in below.items():
        task += keep[node] <= pulp.lpSum(keep[leaf] for leaf in leaves)
        for leaf in leaves:
            task += keep[node] >= keep[leaf]
    for label, each in covered.items():
        members = zip(level["leaves"], level["clusters"], strict=True)
        task += each <= pulp.lpSum(keep[leaf] for leaf, other in members if other == label)
    task += pulp.lpSum(keep[leaf] for leaf in level["leaves"]) >= 1
    task.solve(pulp.PULP_CBC_CMD(msg=False))


def cluster_times(width: int) -> dict[str, float]:
    """Clusters of steps of 30 words by their characters: of texts never seen, and of the same again."""
    rng = random.Random(width)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=rng.randint(2, 9))) for _ in range(400)]
    times: dict[str, list[float]] = {"texts never seen": [], "the same again": []}
    clusters = TextClusters(CharNgrams())
    for _ in range(10):
        texts = [" ".join(rng.choices(words, k=30)) for _ in range(width)]
        for each in times.values():
            each.append(milliseconds(partial(clusters.clusters, texts)))
    return {name: round(statistics.median(each), 3) for name, each in times.items()}


def milliseconds(function: Callable[[], object]) -> float:
    """CPU time, that of child processes included: what the machine does besides hardly counts."""
    start = cpu()
    function()
    return (cpu() - start) * 1e3


def cpu() -> float:
    uses = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in uses)


def ways_to_solve(level: dict[str, Any], hard: dict[str, Any], *, published: bool) -> dict[str, Callable[[], object]]:
    plain = {name: level[name] for name in ("parents", "leaves", "values", "costs")}
    ways: dict[str, Callable[[], object]] = {
        "without clusters": lambda: select_leaves(**plain),
        "with clusters": lambda: select_leaves(**level),
        "with clusters, integer programme alone": lambda: by_programme_alone(level),
        "hard, with clusters": lambda: select_leaves(**hard),
        "hard, integer programme alone": lambda: by_programme_alone(hard),
    }
    if published:
        ways["as published, CBC"] = lambda: as_published(level)
        ways["hard, as published, CBC"] = lambda: as_published(hard)
    return ways


def measure(width: int) -> dict[str, Any]:
    rng = random.Random(width)
    views = [view for _ in range(SEARCHES[width]) for view in levels(rng, width)]
    method = Ets(1.0, LAMBDA_S[width], clusterer=ByText())
    times: dict[str, list[float]] = {}
    left = hard_left = 0
    for number, view in enumerate(views):
        level = problem(view, LAMBDA_S[width])
        hard = harder(level, rng)
        left += select_leaves(**level).solver == "highs"
        hard_left += select_leaves(**hard).solver == "highs"
        ways = ways_to_solve(level, hard, published=number % 10 == 0)
        ways["whole decision"] = partial(method.decide, view)
        for name, way in ways.items():
            times.setdefault(name, []).append(milliseconds(way))
    return {
        "levels": len(views),
        "median nodes": statistics.median(len(problem(view, 1.0)["parents"]) for view in views),
        "levels that leave something to the integer programme": left,
        "hard levels that do": hard_left,
        "milliseconds": {
            name: {"median": round(statistics.median(each), 3), "p95": round(sorted(each)[int(len(each) * 0.95)], 3)}
            for name, each in times.items()
        },
    }


def main(out: str | None) -> None:
    measure(16)  # imports, and HiGHS's own first time
    found = {
        "scipy": scipy.__version__,
        "widths": {width: measure(width) for width in LAMBDA_S},
        "median milliseconds to make clusters": {width: cluster_times(width) for width in LAMBDA_S},
    }
    report = where("selection") | found
    publish(report, out)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
