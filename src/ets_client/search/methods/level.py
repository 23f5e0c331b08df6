"""A level as a method has to decide it: who can have children, and how many are left to give."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .kv import held_kv_tokens, published_kv_tokens
from .view import Decision, JsonValue, NodeState, NodeView, TreeView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from .mends import Mends, Variant

__all__ = ["Level", "is_scored"]


def is_scored(node: NodeView) -> bool:
    """Whether it can be compared: it has a score, and that is finite."""
    return node.score is not None and math.isfinite(node.score)


@dataclass(slots=True)
class Level:
    """The candidates of one decision, and the record that grows while they are judged.

    Attributes:
        view: the tree.
        variant: of the method, for the record.
        candidates: nodes that can have children, in order of creation.
        scores: theirs; all alike when none has any.
        width: children to give.
        effects: what mends changed, by name.
        counted: numbers of the candidates in the published KV figure, when not each once.
    """

    view: TreeView
    variant: Variant
    candidates: list[NodeView]
    scores: list[float]
    width: int
    effects: dict[str, dict[str, JsonValue]] = field(default_factory=dict[str, dict[str, JsonValue]])
    counted: Sequence[int] | None = None

    @classmethod
    def of(cls, view: TreeView, variant: Variant, mends: Mends) -> Level:
        """The level that a view asks to decide.

        Args:
            view: the tree.
            variant: for the record.
            mends: resolved.
        """
        effects: dict[str, dict[str, JsonValue]] = {}
        over = [node for node in view.nodes if node.state is not NodeState.OPEN and node.depth <= view.depth]
        unscored = sum(node.multiplicity for node in over if not is_scored(node))
        width = view.width - sum(node.multiplicity for node in over if is_scored(node))
        if mends.account_width and unscored:
            width -= unscored
            effects["account_width"] = {"ended_without_score": unscored}
        lost = sum(count for depth, count in view.lost.items() if depth <= view.depth)
        if mends.count_lost and lost:
            width -= lost
            effects["count_lost"] = {"lost": lost}
        still_open = [node for node in view.nodes if node.depth == view.depth and node.state is NodeState.OPEN]
        candidates = [node for node in still_open if is_scored(node)]
        scores = [node.score for node in candidates if node.score is not None]
        if mends.keep_unscored and not candidates and still_open:
            candidates, scores = still_open, [0.0] * len(still_open)
            effects["keep_unscored"] = {"nodes": [node.number for node in still_open]}
        return cls(view, variant, candidates, scores, width, effects)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to decide: no width, or nobody to give it to."""
        return self.width <= 0 or not self.candidates

    def share(
        self, allocate: Callable[[Sequence[float]], Sequence[int]], chosen: Iterable[int] | None = None
    ) -> list[int]:
        """Children of each candidate: a merged one takes part as often as samples came out as it.

        Args:
            allocate: from scores to counts.
            chosen: places of the candidates that take part; None: all.
        """
        places = range(len(self.candidates)) if chosen is None else chosen
        samples = [place for place in places for _ in range(self.candidates[place].multiplicity)]
        counts = [0] * len(self.candidates)
        for place, count in zip(samples, allocate([self.scores[place] for place in samples]), strict=True):
            counts[place] += count
        return counts

    def compare(self, mend: str, published: Sequence[int], counts: Sequence[int]) -> None:
        """Record where the published rule would have given other counts."""
        other: list[JsonValue] = [
            [node.number, was] for node, was, now in zip(self.candidates, published, counts, strict=True) if was != now
        ]
        if other:
            self.effect(mend, "published", other)

    def effect(self, mend: str, name: str, value: JsonValue) -> None:
        """Record what a mend has changed."""
        self.effects.setdefault(mend, {})[name] = value

    def decide(self, counts: Sequence[int], order: Sequence[int], notes: Mapping[str, JsonValue]) -> Decision:
        """The decision, with its record.

        Args:
            counts: children of each candidate.
            order: places in the order in which to ask.
            notes: what the method has to add.
        """
        children = {self.candidates[place].number: counts[place] for place in order if counts[place] > 0}
        return Decision(children, notes=self.notes(children, notes))

    def over(self) -> Decision:
        """The decision when nothing is left to decide."""
        return Decision({}, notes=self.notes({}, {}))

    def notes(self, children: Mapping[int, int], more: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """The record of a decision."""
        notes: dict[str, JsonValue] = {"variant": self.variant, "width": self.width, **more}
        if self.effects:
            notes["mends"] = dict(self.effects)
        numbers = [node.number for node in self.candidates] if self.counted is None else self.counted
        notes["kv"] = {
            "published": published_kv_tokens(self.view.nodes, numbers),
            "held": held_kv_tokens(self.view.nodes, children),
        }
        lost = Counter(self.view.lost).total()
        if lost:
            notes["lost"] = lost
        return notes
