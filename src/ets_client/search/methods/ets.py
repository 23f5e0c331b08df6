"""ETS (Hooper et al., arXiv 2502.13575): REBASE on the leaves that are worth the cache they hold."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace
from typing import TYPE_CHECKING, ClassVar

from ...errors import ConfigurationError
from .allocation import best_first, rebase_allocation
from .clusters import Clusterer, TextClusters
from .level import Level
from .mends import Mends, Variant
from .published import published_ets_allocation, published_ets_values, reverse_ties
from .selection import Selection, select_leaves

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .view import Decision, JsonValue, TreeView

__all__ = ["Ets", "with_each_cluster"]

_MENDS = (
    "no_overshoot", "account_width", "keep_unscored", "keep_clusters", "free_at_zero", "token_cost", "count_lost",
)  # fmt: skip

_BONUS = 1e-4


@dataclass(frozen=True, slots=True)
class Ets:
    """Each level keeps the leaves that are worth most, less what their paths cost, and shares its width among them.

    Args:
        lambda_c: price of all nodes together, >= 0; each costs its share.
        lambda_s: value of all clusters together, >= 0; above 0 similar steps count once, which needs the extra
            ``search``. Published: 1.5, 1.4, 1.45 for widths 16, 64, 256.
        temperature: of REBASE's softmax, > 0.
        clusterer: tells which steps are alike.
        variant: ``paper`` for the published code with its defects, ``fixed`` without.
        mends: switches to set otherwise than the variant has them.
    """

    switches: ClassVar[tuple[str, ...]] = _MENDS

    lambda_c: float = 1.0
    lambda_s: float = 0.0
    temperature: float = 0.2
    clusterer: Clusterer = field(default_factory=TextClusters, compare=False)
    variant: Variant = "fixed"
    mends: Mends = field(default_factory=Mends)

    def __post_init__(self) -> None:
        self.mends.check(self.variant, _MENDS)
        if not self.temperature > 0 or not 0 <= self.lambda_c < math.inf or not 0 <= self.lambda_s < math.inf:
            raise ConfigurationError(
                f"lambda_c = {self.lambda_c}, lambda_s = {self.lambda_s}, temperature = {self.temperature}: the "
                "lambdas must be finite and not below 0, and the temperature must be above"
            )

    @property
    def name(self) -> str:
        """``ets``."""
        return "ets"

    def decide(self, view: TreeView) -> Decision:
        """The children of a level.

        Args:
            view: the tree; its texts are what is clustered.
        """
        mends = self.mends.of(self.variant)
        level = Level.of(view, self.variant, mends)
        if level.is_over:
            return level.over()
        labels = self._labels(level)
        notes: dict[str, JsonValue] = {}
        try:
            selection = self._select(level, self._values(level, mends), labels, mends)
            counts, order = self._allocate(level, selection, mends)
        except ArithmeticError as error:
            notes["published_fails"] = str(error)
            mends = Mends().of("fixed")
            selection = self._select(level, self._values(level, mends), labels, mends)
            counts, order = self._allocate(level, selection, mends)
        numbers = [node.number for node in level.candidates]
        notes |= {"kept": [numbers[place] for place in selection.kept], "objective": selection.objective}
        notes["solver"] = selection.solver
        if labels is not None:
            notes["clusters"] = [[number, label] for number, label in zip(numbers, labels, strict=True)]
            notes["clusterer"] = self.clusterer.name
            if mends.keep_clusters:
                self._keep_clusters(level, selection, labels, counts)
        return level.decide(counts, order, notes)

    def _labels(self, level: Level) -> Sequence[int] | None:
        texts = [node.text for node in level.candidates for _ in range(node.multiplicity)]
        if self.lambda_s == 0 or len(set(texts)) < 2:
            return None
        labels = iter(self.clusterer.clusters(texts))
        return [[next(labels) for _ in range(node.multiplicity)][0] for node in level.candidates]  # noqa: RUF015 - all are taken

    def _values(self, level: Level, mends: Mends) -> list[float]:
        width, temperature = level.width, self.temperature
        if mends.no_overshoot:
            counts = level.share(lambda scores: rebase_allocation(scores, width, temperature))
            return [count / width for count in counts]
        # The shares of a merged node's samples, as fine as floats are: they become integers on the way.
        values = [0.0] * len(level.candidates)
        samples = [place for place, node in enumerate(level.candidates) for _ in range(node.multiplicity)]
        shares = published_ets_values([level.scores[place] for place in samples], width, temperature)
        for place, share in zip(samples, shares, strict=True):
            values[place] += share
        return values

    def _select(self, level: Level, values: Sequence[float], labels: Sequence[int] | None, mends: Mends) -> Selection:
        nodes, parents, column = _paths(level)
        leaves = [column[node.number] for node in level.candidates]
        if mends.token_cost:
            tokens = [level.view.nodes[number].tokens if number else 0 for number in nodes]
            level.effect("token_cost", "tokens", sum(tokens))
            sizes = [count / max(1, sum(tokens)) for count in tokens]
        else:
            sizes = [1 / len(nodes)] * len(nodes)
        price = self.lambda_c
        if price == 0:
            price = 0.0 if mends.free_at_zero else -_BONUS
            if mends.free_at_zero:
                level.effect("free_at_zero", "published", -_BONUS)
        worth = 0.0 if labels is None else self.lambda_s / len(set(labels))
        return select_leaves(parents, leaves, values, [price * size for size in sizes], labels, worth)

    def _allocate(self, level: Level, selection: Selection, mends: Mends) -> tuple[list[int], list[int]]:
        width, temperature = level.width, self.temperature
        samples = [place for place, node in enumerate(level.candidates) for _ in range(node.multiplicity)]
        places = set(selection.kept)
        kept = {sample for sample, place in enumerate(samples) if place in places}

        def published(scores: Sequence[float]) -> list[int]:
            return published_ets_allocation(scores, kept, width, temperature)

        if not mends.no_overshoot:
            return level.share(published), reverse_ties(level.scores)
        exact = level.share(lambda scores: rebase_allocation(scores, width, temperature), selection.kept)
        try:
            level.compare("no_overshoot", level.share(published), exact)
        except ArithmeticError as error:
            level.effect("no_overshoot", "published_fails", str(error))
        return exact, best_first(level.scores)

    def _keep_clusters(self, level: Level, selection: Selection, labels: Sequence[int], counts: list[int]) -> None:
        fair = with_each_cluster(counts, selection.kept, labels, level.scores)
        moved: list[JsonValue] = [
            [node.number, was] for node, was, now in zip(level.candidates, counts, fair, strict=True) if was != now
        ]
        if moved:
            level.effect("keep_clusters", "published", moved)
            counts[:] = fair

    def describe(self) -> list[str]:
        """What it does and what the variant implies, a line each."""
        about = (
            f"ETS with lambda_c {self.lambda_c:g}, lambda_s {self.lambda_s:g}, temperature {self.temperature:g}, "
            f"variant {self.variant}"
        )
        clusters = [f"clusters by {self.clusterer.name}"] if self.lambda_s else []
        return [about, *clusters, *self.mends.describe(self.variant, _MENDS)]


def with_each_cluster(
    counts: Sequence[int], kept: Sequence[int], clusters: Sequence[int], scores: Sequence[float]
) -> list[int]:
    """Children such that each kept cluster has one, as far as they suffice: the best clusters then.

    A cluster without any gets one for its best node, from the node with most children of those whose cluster has
    several; the worst of equals.

    Args:
        counts: children of each leaf.
        kept: places of the kept leaves.
        clusters: a label for each leaf.
        scores: of each leaf.

    Returns:
        Children of each leaf, as many in all.
    """
    fair = list(counts)
    best: dict[int, int] = {}
    funded: dict[int, int] = {}
    for place in kept:
        label = clusters[place]
        funded[label] = funded.get(label, 0) + fair[place]
        if scores[place] > scores[best.setdefault(label, place)]:
            best[label] = place
    donors = [(-fair[place], scores[place], -place) for place in kept if fair[place]]
    heapify(donors)
    for place in sorted(best.values(), key=lambda place: -scores[place]):
        if funded[clusters[place]]:
            continue
        while donors and funded[clusters[-donors[0][2]]] < 2:
            heappop(donors)  # a cluster never gets a second child here
        if not donors:
            break
        count, score, donor = donors[0]
        heapreplace(donors, (count + 1, score, donor))
        fair[-donor] -= 1
        funded[clusters[-donor]] -= 1
        fair[place] = funded[clusters[place]] = 1
    return fair


def _paths(level: Level) -> tuple[list[int], list[int], dict[int, int]]:
    """Numbers of the candidates and all nodes above them, ascending; for each the place of its parent; the places."""
    nodes = level.view.nodes
    numbers: set[int] = set()
    for node in level.candidates:
        number = node.number
        while number >= 0 and number not in numbers:
            numbers.add(number)
            number = nodes[number].parent
    ascending = sorted(numbers)
    column = {number: place for place, number in enumerate(ascending)}
    return ascending, [column.get(nodes[number].parent, -1) for number in ascending], column
