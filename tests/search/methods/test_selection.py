"""ETS's selection: exact, with and without clusters."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pulp  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client.search.methods import rebase_allocation, select_leaves

from .levels import Level, random_level

if TYPE_CHECKING:
    from collections.abc import Sequence

LEVELS = 500


def by_cbc(level: Level, price: float, clusters: Sequence[int] | None, cluster_value: float) -> float:
    """The optimum of the published formulation, a link between each leaf and each node above it, by CBC."""
    nodes = range(len(level.parents))
    problem = pulp.LpProblem("level", pulp.LpMaximize)
    keep = [pulp.LpVariable(f"keep_{node}", cat="Binary") for node in nodes]
    below: dict[int, list[int]] = {}
    for leaf in level.leaves:
        above = level.parents[leaf]
        while above >= 0:
            below.setdefault(above, []).append(leaf)
            above = level.parents[above]
    covered = {label: pulp.LpVariable(f"covered_{label}", cat="Binary") for label in set(clusters or ())}
    objective = pulp.lpSum(value * keep[leaf] for leaf, value in zip(level.leaves, level.values, strict=True))
    objective -= pulp.lpSum(price / len(nodes) * keep[node] for node in nodes)
    if clusters is not None:
        objective += pulp.lpSum(cluster_value * each for each in covered.values())
    problem += objective
    for node, leaves in below.items():
        problem += keep[node] <= pulp.lpSum(keep[leaf] for leaf in leaves)
        for leaf in leaves:
            problem += keep[node] >= keep[leaf]
    if clusters is not None:
        for label in covered:
            members = [leaf for leaf, other in zip(level.leaves, clusters, strict=True) if other == label]
            problem += covered[label] <= pulp.lpSum(keep[leaf] for leaf in members)
    problem += pulp.lpSum(keep[leaf] for leaf in level.leaves) >= 1
    problem.solve(pulp.PULP_CBC_CMD(msg=False))
    return float(pulp.value(problem.objective))


def worth(
    level: Level, kept: Sequence[int], price: float, clusters: Sequence[int] | None, cluster_value: float
) -> float:
    """What a selection is worth, counted from its leaves alone."""
    held: set[int] = set()
    for place in kept:
        node = level.leaves[place]
        while node >= 0:
            held.add(node)
            node = level.parents[node]
    covered = 0 if clusters is None else len({clusters[place] for place in kept})
    value = sum(level.values[place] for place in kept)
    return value - price * len(held) / len(level.parents) + cluster_value * covered


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PuLP 3 wants what PuLP 2 does not know
def test_its_objective_is_cbcs_on_five_hundred_random_levels() -> None:
    rng = random.Random(0)
    solvers = set()
    for number in range(LEVELS):
        leaves = 64 if number % 25 == 0 else rng.randint(1, 24)
        level = random_level(rng, leaves, depth=rng.randint(1, 6))
        price = rng.choice([0.5, 1.0, 2.0, 4.0, 8.0, -1e-4])
        lambda_s = rng.choice([0.0, 0.3, 1.45, 3.0])
        labels = [rng.randrange(max(1, leaves // 3)) for _ in level.leaves]
        clusters = labels if lambda_s else None
        value = lambda_s / len(set(labels))
        selection = select_leaves(
            level.parents,
            level.leaves,
            level.values,
            [price / len(level.parents)] * len(level.parents),
            clusters,
            value,
        )
        solvers.add(selection.solver)
        assert selection.kept
        assert selection.objective == pytest.approx(worth(level, selection.kept, price, clusters, value), abs=1e-9)
        assert selection.objective == pytest.approx(by_cbc(level, price, clusters, value), abs=1e-7), number
    assert solvers == {"programme", "highs"}


@given(st.integers(0, 2**32), st.integers(1, 9), st.floats(0, 12), st.floats(0, 4), st.booleans())
def test_its_objective_is_the_best_of_all_selections(
    seed: int, leaves: int, price: float, lambda_s: float, by_tokens: bool
) -> None:
    rng = random.Random(seed)
    level = random_level(rng, leaves, depth=rng.randint(1, 4))
    sizes = [rng.random() if by_tokens else 1.0 for _ in level.parents]
    costs = [price * size / sum(sizes) for size in sizes]
    labels = [rng.randrange(4) for _ in level.leaves]
    value = lambda_s / len(set(labels))
    best = max(
        _value(level, costs, labels, value, [place for place in range(leaves) if chosen >> place & 1])
        for chosen in range(1, 1 << leaves)
    )
    selection = select_leaves(level.parents, level.leaves, level.values, costs, labels, value)
    assert selection.objective == pytest.approx(best, abs=1e-9)
    assert _value(level, costs, labels, value, selection.kept) == pytest.approx(best, abs=1e-9)


def _value(level: Level, costs: Sequence[float], labels: Sequence[int], value: float, kept: Sequence[int]) -> float:
    held: set[int] = set()
    for place in kept:
        node = level.leaves[place]
        while node >= 0:
            held.add(node)
            node = level.parents[node]
    total = sum(level.values[place] for place in kept) - sum(costs[node] for node in held)
    return total + value * len({labels[place] for place in kept})


@pytest.mark.parametrize("size", [1e5, 1e9, 1e15, 1e30, 1e300])
def test_prices_and_clusters_of_any_size_have_an_exact_optimum(size: float) -> None:
    rng = random.Random(7)
    for number in range(60):
        level = random_level(rng, rng.randint(2, 8), depth=rng.randint(1, 4))
        price, lambda_s = rng.choice([(size, 1.5), (1.0, size), (size, size), (size, size / 3)])
        costs = [price * rng.random() / len(level.parents) for _ in level.parents]
        labels = [rng.randrange(4) for _ in level.leaves]
        value = lambda_s / len(set(labels))
        best = max(
            _value(level, costs, labels, value, [place for place in range(len(level.leaves)) if chosen >> place & 1])
            for chosen in range(1, 1 << len(level.leaves))
        )
        found = select_leaves(level.parents, level.leaves, level.values, costs, labels, value)
        assert found.objective == pytest.approx(best, rel=1e-9, abs=1e-12 * size), number


def test_several_leaves_may_lose_less_than_the_best_path_when_none_gains() -> None:
    # Two leaves that gain a little below a node that costs much: kept together they lose less than either alone.
    selection = select_leaves([-1, 0, 1, 1], [2, 3], [0.5, 0.5], [0.475] * 4)
    assert selection.kept == (0, 1)
    assert selection.objective == pytest.approx(-0.9)


def test_a_lone_leaf_is_kept_whatever_it_costs() -> None:
    assert select_leaves([-1], [0], [1.0], [5.0]).kept == (0,)
    assert select_leaves([-1], [0], [1.0], [5.0], [0], 1.0).objective == pytest.approx(-3.0)


def test_of_leaves_that_are_worth_the_same_the_first_is_kept() -> None:
    assert select_leaves([-1, 0, 0], [1, 2], [0.1, 0.1], [0.3] * 3).kept == (0,)


def test_a_leaf_that_pays_only_by_its_cluster_is_kept_where_it_costs_least() -> None:
    # Cluster 1 could be covered by a leaf of the branch that is kept anyway, or by one of a branch of its own.
    parents, leaves = [-1, 0, 0, 1, 1, 2], [3, 4, 5]
    selection = select_leaves(parents, leaves, [0.9, 0.0, 0.05], [0.1] * 6, [0, 1, 1], 0.2)
    assert selection.kept == (0, 1)


def test_allocation_and_selection_fit_together() -> None:
    counts = rebase_allocation([0.9, 0.8, 0.1], 8, 0.2)
    values = [count / 8 for count in counts]
    assert select_leaves([-1, 0, 0, 0], [1, 2, 3], values, [0.25] * 4).kept == (0, 1)
