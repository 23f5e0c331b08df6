"""Tokens whose keys and values a search needs, of a recorded tree. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..methods.kv import published_kv_tokens
from ..methods.view import NodeState, NodeView

if TYPE_CHECKING:
    from ..loaded import LoadedQuestion

__all__ = ["ResidentKV", "published_kv", "resident_kv"]


@dataclass(frozen=True, slots=True)
class ResidentKV:
    """Tokens that a server has to hold for a search, each once, the prompt included.

    Attributes:
        by_turn: at the end of each decision's samples: the paths that got children and these children, and what a later
            decision still goes on from. What was pruned is gone; answers go when the next decision is made. 0 when the
            search is over.
    """

    by_turn: tuple[int, ...]

    @property
    def mean(self) -> float:
        """Mean over the decisions; those that end the search do not count."""
        held = [tokens for tokens in self.by_turn if tokens]
        return sum(held) / len(held) if held else 0.0

    @property
    def peak(self) -> int:
        """The most."""
        return max(self.by_turn, default=0)


def resident_kv(question: LoadedQuestion) -> ResidentKV:
    """What a search had to hold, with what is known now: a node is live while it or one below it gets children later.

    For a search by levels that is what survived the last decision, and its children.
    """
    samples = Counter[str]()
    made: list[list[str]] = []  # names of the samples that each decision made
    for decision in question.decisions:
        made.append([])
        for parent, n in decision.children.items():
            first = samples[parent]
            samples[parent] += n
            made[-1] += [f"{parent}.{place}" for place in range(first, first + n)]
    nodes = question.nodes
    needed: set[str] = set()  # by this decision or a later one; what is above a needed node is needed
    tokens = 0
    held: list[int] = []
    for decision, names in zip(reversed(question.decisions), reversed(made), strict=True):
        for name in decision.children:
            at = nodes.get(name)
            while at is not None and at.id not in needed:
                needed.add(at.id)
                tokens += len(at.token_ids)
                at = None if at.parent is None else nodes[at.parent]
        new = [name for name in names if name in nodes]
        held.append(tokens + sum(len(nodes[name].token_ids) for name in new if name not in needed))
        for name in needed.intersection(new):  # before this decision it was not there
            needed.remove(name)
            tokens -= len(nodes[name].token_ids)
    return ResidentKV(tuple(reversed(held)))


def published_kv(question: LoadedQuestion) -> int:
    """ETS's own figure, :func:`~..methods.published_kv_tokens`, summed over the levels as its ``stats.log`` has it.

    Steps without a score are no candidates, as published. A step that was sampled twice counts once, as in the notes of
    the decisions; the published search loses the second (its reward server scores only what is not cached).
    """
    places = {name: place for place, name in enumerate(question.nodes)}
    views = [
        NodeView(place, -1 if node.parent is None else places[node.parent], node.depth, len(node.token_ids), node.score)
        for place, node in enumerate(question.nodes.values())
    ]
    levels: dict[int, list[int]] = {decision.depth: [] for decision in question.decisions}
    for place, node in enumerate(question.nodes.values()):
        is_candidate = node.state is NodeState.OPEN and (node.score is not None or node.parent is None)
        if node.depth in levels and is_candidate:
            levels[node.depth].append(place)
    return sum(published_kv_tokens(views, candidates) for candidates in levels.values())
