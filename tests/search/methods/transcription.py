"""The published searches, written down once more from their description: slow, literal, and sharing nothing with ours.

Nodes are objects with parents, counters are lowered on the way, float32 is numpy's. Two things are PyTorch's: the order
in which ``sum`` adds, and ``exp``, which here is rounded correctly. ETS's optimum is found by trying every selection.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

import numpy as np

F = np.float32


@dataclass(eq=False)
class Node:
    id: int
    parent: Node | None
    score: float | None
    tokens: int
    is_leaf: bool = False
    is_over_length: bool = False
    cluster: int = 0
    depth: int = 0
    dvts_id: int | None = None

    def __post_init__(self) -> None:
        self.depth = 0 if self.parent is None else self.parent.depth + 1


@dataclass
class Search:
    """One tree under one select method, level by level."""

    nodes: list[Node]
    width: int
    temperature: float = 0.2
    lambdac: float = 0.0
    lambdas: float = 0.0
    fixedwidth: int = -1
    remaining_width: int = 0
    remaining_width_dvts: list[int] = field(default_factory=list)
    kv_size: int = 0
    objective: float = math.nan
    kept: list[Node] = field(default_factory=list)
    is_unique: bool = True

    def __post_init__(self) -> None:
        self.remaining_width = self.width
        subtrees = self.fixedwidth if self.fixedwidth > -1 else math.ceil(math.sqrt(self.width))
        self.remaining_width_dvts = [self.width // subtrees] * subtrees

    def level(self, depth: int, method: str) -> list[tuple[Node, int]] | None:
        """The nodes to expand with their counts, in order; None when the search stops."""
        candidates = []
        for node in self.nodes:
            if node.depth != depth or node.score is None:  # a node whose score was lost was never inserted
                continue
            if node.is_leaf or node.is_over_length:
                self.remaining_width -= 1
                if node.dvts_id is not None:
                    self.remaining_width_dvts[node.dvts_id] -= 1
            else:
                candidates.append(node)
        if self.remaining_width <= 0 or not candidates:
            return None
        selected = getattr(self, method)(candidates, depth)
        self.kv_size += kv_size([node for node, _ in selected])
        return [(node, count) for node, count in selected if count >= 1]

    def softmax(self, candidates: list[Node], depth: int) -> list[tuple[Node, int]]:
        order = list(reversed(sorted(candidates, key=score_of)))  # noqa: C413 - not the same for ties
        exps = [exp(F(F(score_of(node)) / F(self.temperature))) for node in order]
        total, rest = torch_sum(exps), self.remaining_width
        selected = []
        for node, each in zip(order, exps, strict=True):
            count = math.ceil(F(F(rest) * each) / total)
            selected.append((node, count))
            rest -= count
            total = F(total - each)
        return selected

    def beam_search(self, candidates: list[Node], depth: int) -> list[tuple[Node, int]]:
        order = list(reversed(sorted(candidates, key=score_of)))  # noqa: C413 - not the same for ties
        keep = self.fixedwidth if self.fixedwidth > 0 else math.ceil(math.sqrt(self.remaining_width))
        count = self.remaining_width if depth == 0 else math.ceil(self.remaining_width / keep)
        return [(node, count if place < keep else 0) for place, node in enumerate(order)]

    def dvts(self, candidates: list[Node], depth: int) -> list[tuple[Node, int]]:
        if depth == 0:
            return [(candidates[0], self.width)]
        subtrees = self.fixedwidth if self.fixedwidth > 0 else math.ceil(math.sqrt(self.width))
        kept = set()
        if depth == 1:
            if len(candidates) < subtrees:
                candidates = list(itertools.islice(itertools.cycle(candidates), subtrees))
            start = 0
            for group in range(subtrees):
                size = len(candidates) // subtrees + (1 if group < len(candidates) % subtrees else 0)
                members = candidates[start : start + size]
                for node in members:
                    node.dvts_id = group
                kept.add(first_best(members))
                start += size
        else:
            for node in candidates:
                assert node.parent is not None
                node.dvts_id = node.parent.dvts_id
            for parent in {node.parent for node in candidates}:
                kept.add(first_best([node for node in candidates if node.parent is parent]))
        return [(node, self.remaining_width_dvts[node.dvts_id or 0] if node in kept else 0) for node in candidates]

    def softmax_costmodel(self, candidates: list[Node], depth: int) -> list[tuple[Node, int]]:
        width = self.remaining_width
        # What a leaf is worth.
        order = sorted(candidates, key=score_of, reverse=True)
        exps = [exp(F(F(score_of(node)) / F(self.temperature))) for node in order]
        total, rest, share = torch_sum(exps), width, {}
        for node, each in zip(order, exps, strict=True):
            share[node] = math.ceil(F(F(rest) * each) / total) if total > 0 else 0
            rest -= share[node]
            total = F(total - each) if total > 0 else total
        worth = {node: count / sum(share.values()) for node, count in share.items()}
        # Which leaves to keep.
        self.kept = self.optimum(candidates, worth)
        # Who gets how many.
        logit = {node: score_of(node) / self.temperature if node in self.kept else -math.inf for node in candidates}
        order = list(reversed(sorted(candidates, key=lambda node: logit[node])))  # noqa: C413 - not the same for ties
        exps = [exp(F(logit[node])) for node in order]
        total, selected = torch_sum(exps), []
        for node, each in zip(order, exps, strict=True):
            count = math.ceil(F(F(width) * each) / total) if total > 0 else 0
            selected.append((node, count))
            width -= count
            total = F(total - each) if total > 0 else total
        return selected

    def optimum(self, candidates: list[Node], worth: dict[Node, float]) -> list[Node]:
        """The best of all selections of at least one leaf; every ancestor of a kept leaf is kept."""
        above = {id(other) for node in candidates for other in ancestors(node)}
        cost = (1e-4 if self.lambdac == 0 else -self.lambdac) / (len(above) + len(candidates))
        clusters = {node.cluster for node in candidates}
        diverse = self.lambdas > 0 and len(candidates) > 1 and len(clusters) > 1
        best: list[tuple[float, list[Node]]] = [(-math.inf, []), (-math.inf, [])]
        bit = {ancestor: 1 << place for place, ancestor in enumerate(above)}
        masks = [sum(bit[id(other)] for other in ancestors(node)) for node in candidates]
        for chosen in range(1, 1 << len(candidates)):
            nodes, held, value = [], 0, 0.0
            for place, node in enumerate(candidates):
                if chosen >> place & 1:
                    nodes.append(node)
                    held |= masks[place]
                    value += worth[node]
            value += cost * (held.bit_count() + len(nodes))
            if diverse:
                value += self.lambdas / len(clusters) * len({node.cluster for node in nodes})
            if value > best[0][0]:
                best = [(value, nodes), best[0]]
            elif value > best[1][0]:
                best[1] = (value, nodes)
        self.objective = best[0][0]
        self.is_unique = best[0][0] - best[1][0] > 1e-9
        return best[0][1]


def score_of(node: Node) -> float:
    assert node.score is not None
    return node.score


def first_best(nodes: list[Node]) -> Node:
    best = nodes[0]
    for node in nodes:
        if score_of(node) > score_of(best):
            best = node
    return best


def ancestors(node: Node) -> list[Node]:
    return [] if node.parent is None else [node.parent, *ancestors(node.parent)]


def kv_size(candidates: list[Node]) -> int:
    """Tokens of the candidates, and of all their ancestors once."""
    above = {id(other): other.tokens for node in candidates for other in ancestors(node)}
    return sum(node.tokens for node in candidates) + sum(above.values())


def exp(value: np.float32) -> np.float32:
    return F(math.exp(float(value)))


def torch_sum(values: list[np.float32]) -> np.float32:
    """Rows of eight, every fourth row to the same running sum; then the tail, then lane by lane."""
    lanes = 8 if len(values) >= 8 else 1
    rows = np.array(values[: len(values) // lanes * lanes], F).reshape(-1, lanes)
    full = len(rows) // 4 * 4
    sums = np.zeros((4, lanes), F)
    for four in rows[:full].reshape(-1, 4, lanes):
        sums += four
    for row in rows[full:]:
        sums[0] += row
    lane = sums[0] + sums[1] + sums[2] + sums[3]
    total = F(0)
    for value in [*values[len(values) // lanes * lanes :], *lane]:
        total = F(total + value)
    return total
