"""Monte Carlo tree search: UCT with progressive widening, many expansions at once by virtual loss.

UCT is Kocsis and Szepesvari's (2006), widening Couetoux et al.'s (2011), virtual loss Chaslot et al.'s (2008). There
are no rollouts: a step's score stands for the path that it begins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ...errors import ConfigurationError
from .kv import held_kv_tokens
from .level import is_scored
from .view import Decision, NodeState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .view import JsonValue, TreeView

__all__ = ["Mcts"]


@dataclass(frozen=True, slots=True)
class Mcts:
    """Each sample goes where its path promises most: by mean score below, and by how little is known there.

    It knows no levels: each decision looks at the whole tree. Scores are scaled to [0, 1] by the tree's lowest and
    highest, so that ``exploration`` means the same for probabilities and for their logarithms.

    Args:
        simulations: samples in all, >= 1.
        batch: samples to ask for at once, >= 1; None: the width. One that has not arrived counts as a visit worth
            nothing, which sends the others elsewhere.
        exploration: weight of what is not known, >= 0.
        widening: a node has at most ``widening * visits ** exponent`` children, > 0.
        exponent: see there, from 0 to 1.
        answers: ended paths after which it stops; None: it uses all simulations.
    """

    knows_levels: ClassVar[bool] = False  # a search without a barrier asks it for as many samples as there is room

    simulations: int = 64
    batch: int | None = None
    exploration: float = 1.0
    widening: float = 1.0
    exponent: float = 0.5
    answers: int | None = None

    def __post_init__(self) -> None:
        if self.simulations < 1 or (self.batch is not None and self.batch < 1):
            raise ConfigurationError(f"simulations = {self.simulations}, batch = {self.batch}: at least 1")
        if self.answers is not None and self.answers < 1:
            raise ConfigurationError(f"answers = {self.answers}: at least 1; None uses all simulations")
        if not (self.exploration >= 0 and self.widening > 0 and 0 <= self.exponent <= 1):
            raise ConfigurationError(
                f"exploration = {self.exploration}, widening = {self.widening}, exponent = {self.exponent}: "
                "exploration must not be below 0, widening must be above, and the exponent is from 0 to 1"
            )

    @property
    def name(self) -> str:
        """``mcts``."""
        return "mcts"

    def decide(self, view: TreeView) -> Decision:
        """Who of the tree gets how many children next.

        Args:
            view: the tree.
        """
        used = sum(view.given.values())
        count = min(self.simulations - used, self.batch or view.width)
        ended = sum(node.multiplicity for node in view.nodes if node.state is NodeState.ENDED)
        if view.nodes[0].state is not NodeState.OPEN or (self.answers is not None and ended >= self.answers):
            count = 0
        walk = _Walk(self, view)
        children: dict[int, int] = {}
        for _ in range(count):
            number = walk.next()
            children[number] = children.get(number, 0) + 1
        visited: list[JsonValue] = [[number, *walk.known(number)] for number in children]
        # Any open node may be gone on from later.
        still_open = [node.number for node in view.nodes if node.state is NodeState.OPEN] if children else []
        notes: dict[str, JsonValue] = {
            "simulations": used + max(0, count),
            "visits_and_worth": visited,
            "kv": {"held": held_kv_tokens(view.nodes, still_open)},
        }
        return Decision(children, notes=notes)

    def describe(self) -> list[str]:
        """What it does, a line each."""
        at_once = "as many as the width" if self.batch is None else str(self.batch)
        until = "" if self.answers is None else f", or until {self.answers} paths have ended"
        return [
            f"MCTS: {self.simulations} samples{until}, {at_once} at once by virtual loss",
            f"UCT with exploration {self.exploration:g}",
            f"at most {self.widening:g} * visits ** {self.exponent:g} children",
        ]


class _Walk:
    """Visits and worth of all nodes, those of samples on their way included."""

    def __init__(self, method: Mcts, view: TreeView) -> None:
        self._method, self._nodes = method, view.nodes
        worth = _scaled(view)
        # Where nothing has a score, all are alike.
        self._ranked = worth or {node.number: 0.0 for node in view.nodes if node.parent >= 0}
        self._visits = [0] * len(view.nodes)
        self._worth = [0.0] * len(view.nodes)
        self._children: list[list[int]] = [[] for _ in view.nodes]
        arrived = [0] * len(view.nodes)
        self._arity = [0] * len(view.nodes)
        for node in reversed(view.nodes):
            if node.parent < 0:
                continue
            arrived[node.parent] += node.multiplicity
            self._children[node.parent].append(node.number)
            self._visit(node.number, node.multiplicity, worth.get(node.number, 0.0))
        for number, given in view.given.items():
            missing = max(0, given - arrived[number])
            self._arity[number] += missing
            self._visit(number, missing, 0.0)
        for number, children in enumerate(self._children):
            self._arity[number] += len(children)
            children.reverse()
        self._before = list(self._visits)

    def next(self) -> int:
        """The node to expand, which is visited by that."""
        number = 0
        while self._arity[number] >= self._limit(number):
            below = [child for child in self._children[number] if self._may_go_on(child)]
            if not below:
                break
            number = max(below, key=lambda child: self._promise(number, child))
        self._arity[number] += 1
        self._visit(number, 1, 0.0)
        return number

    def known(self, number: int) -> tuple[int, float]:
        """Visits before this decision, those on their way included, and worth of one."""
        visits = self._before[number]
        return visits, self._worth[number] / visits if visits else 0.0

    def _limit(self, number: int) -> float:
        return self._method.widening * math.pow(max(1, self._visits[number]), self._method.exponent)

    def _may_go_on(self, number: int) -> bool:
        return self._nodes[number].state is NodeState.OPEN and number in self._ranked

    def _promise(self, parent: int, child: int) -> float:
        visits = self._visits[child]
        unknown = math.sqrt(math.log(max(1, self._visits[parent])) / visits)
        return self._worth[child] / visits + self._method.exploration * unknown

    def _visit(self, number: int, times: int, worth: float) -> None:
        while number >= 0:
            self._visits[number] += times
            self._worth[number] += times * worth
            number = self._nodes[number].parent


def _scaled(view: TreeView) -> Mapping[int, float]:
    """Scores of the samples between 0, the lowest, and 1, the highest; alike ones are 1."""
    scores = {node.number: node.score or 0.0 for node in view.nodes if node.parent >= 0 and is_scored(node)}
    low, high = min(scores.values(), default=0.0), max(scores.values(), default=0.0)
    spread = high / 2 - low / 2  # halved: the spread of scores may be more than a float holds
    return {number: (score / 2 - low / 2) / spread if spread > 0 else 1.0 for number, score in scores.items()}
