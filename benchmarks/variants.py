"""What the defects of the published searches do: `python benchmarks/variants.py [OUT.json]`.

Simulated searches with each method, published and fixed, on the same kind of trees: children's scores wander from their
parent's, a step answers with a chance that grows with its depth, half of one parent's steps say the same as another.
Nothing is measured but what the decisions are.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from machine import publish

from ets_client.search.methods import Beam, Dvts, Ets, NodeState, NodeView, Rebase, TreeView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ets_client.search.methods import Decision, Method

SEARCHES = 300
WIDTH = 16
DEPTH = 12


class ByText:
    """Texts that are their own labels."""

    name = "by text"

    def clusters(self, texts: Sequence[str]) -> list[int]:
        return [int(text) for text in texts]


def search(method: Method, seed: int, count: Counter[str]) -> None:
    """Grow one tree, and count what its decisions did."""
    rng = random.Random(seed)
    nodes = [NodeView(0, -1, 0, 200, 1.0)]
    for depth in range(DEPTH):
        view = TreeView(list(nodes), depth, WIDTH)
        decision = method.decide(view)
        if not decision.children:
            break
        count_level(view, decision, count)
        for number, children in decision.children.items():
            kinds = [rng.randrange(10**6) for _ in range(max(1, children // 2))]
            for _ in range(children):
                score = min(1.0, max(0.0, (0.6 if number == 0 else nodes[number].score or 0.0) + rng.gauss(0, 0.15)))
                state = NodeState.ENDED if rng.random() < depth / DEPTH else NodeState.OPEN
                tokens, text = rng.randint(10, 80), str(rng.choice(kinds))
                nodes.append(NodeView(len(nodes), number, depth + 1, tokens, score, text, state))
    answers = sum(node.state is NodeState.ENDED for node in nodes)
    count["searches"] += 1
    count["samples"] += len(nodes) - 1
    count["answers"] += answers
    count["searches with more answers than the width"] += answers > WIDTH


def count_level(view: TreeView, decision: Decision, count: Counter[str]) -> None:
    left = decision.notes["width"]
    assert isinstance(left, int)
    given = sum(decision.children.values())
    count["levels"] += 1
    count["levels with more children than width"] += given > left
    count["levels with fewer"] += given < left
    kept, clusters = decision.notes.get("kept", []), decision.notes.get("clusters")
    if clusters is not None:
        assert isinstance(kept, list)
        labels = {view.nodes[number].text for number in kept}
        funded = {view.nodes[number].text for number in decision.children}
        count["kept nodes"] += len(kept)
        count["kept nodes without a child"] += len(set(kept) - set(decision.children))
        count["kept clusters"] += len(labels)
        count["kept clusters without a child"] += len(labels - funded)


def main(out: str | None) -> None:
    results: dict[str, Any] = {}
    for variant in ("paper", "fixed"):
        methods: dict[str, Method] = {
            "rebase": Rebase(variant=variant),
            "beam": Beam(variant=variant),
            "dvts": Dvts(variant=variant),
            "ets": Ets(1.0, 1.5, clusterer=ByText(), variant=variant),
        }
        for name, method in methods.items():
            count: Counter[str] = Counter()
            for seed in range(SEARCHES):
                search(method, seed, count)
            results[f"{name}, {variant}"] = dict(count)
    report = {"benchmark": "variants", "date": time.strftime("%Y-%m-%d"), "width": WIDTH, "results": results}
    publish(report, out)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
