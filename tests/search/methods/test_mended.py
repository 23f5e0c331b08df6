"""What the fixed variants promise, and each mend alone."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client import ConfigurationError
from ets_client.search.describe import parameters
from ets_client.search.methods import (
    Beam,
    BestOfN,
    Dvts,
    Ets,
    Mends,
    NodeState,
    NodeView,
    Rebase,
    TreeView,
)
from ets_client.search.methods.ets import with_each_cluster

from .trees import ROOT, ByText, random_tree, tree_a, tree_b

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ets_client.search.methods import Decision, Method

FIXED: list[Method] = [Rebase(), Beam(), Beam(3), Dvts(), Dvts(3), Ets(), Ets(2.0, 1.5, clusterer=ByText())]
TREES = st.builds(
    lambda seed, depth, level, width, missing: random_tree(
        random.Random(seed), depth=depth, level=level, width=width, missing=missing
    ),
    st.integers(0, 2**32),
    st.integers(1, 4),
    st.sampled_from([3, 9, 25]),
    st.integers(1, 40),
    st.sampled_from([0.0, 0.2, 1.0]),
)


def str_of(method: Method) -> str:
    return f"{method.name} {getattr(method, 'variant', '')} {getattr(method, 'lambda_s', '')}"


def left(view: TreeView) -> int:
    """The width that nothing has used up, all that has ended counted."""
    return view.width - sum(
        node.multiplicity for node in view.nodes if node.state is not NodeState.OPEN and node.depth <= view.depth
    )


def open_nodes(view: TreeView) -> list[NodeView]:
    return [node for node in view.nodes if node.depth == view.depth and node.state is NodeState.OPEN]


@pytest.mark.parametrize("method", FIXED, ids=str_of)
@given(TREES)
def test_exactly_the_width_that_is_left_is_shared_out(method: Method, view: TreeView) -> None:
    decision = method.decide(view)
    if left(view) > 0 and open_nodes(view):
        assert sum(decision.children.values()) == left(view)
        assert min(decision.children.values()) > 0
    else:
        assert decision.children == {}


@pytest.mark.parametrize("method", [*FIXED, Ets(variant="paper"), Dvts(variant="paper")], ids=str_of)
@given(TREES)
def test_children_go_to_open_nodes_of_the_level_and_to_scored_ones_when_there_are_any(
    method: Method, view: TreeView
) -> None:
    chosen = [view.nodes[number] for number in method.decide(view).children]
    assert all(node in open_nodes(view) for node in chosen)
    if any(node.score is not None for node in open_nodes(view)):
        assert all(node.score is not None for node in chosen)


@pytest.mark.parametrize("method", [Rebase(), Beam(3), Ets()], ids=str_of)
@given(TREES, st.randoms(use_true_random=False))
def test_the_order_of_different_nodes_does_not_matter(method: Method, view: TreeView, rng: random.Random) -> None:
    # Different scores, one parent: where nodes are worth the same, the first is served first.
    count = len(open_nodes(view))
    scores = rng.sample([place / (count + 1) for place in range(count)], count)
    level = [NodeView(place, 0, 1, 10, score) for place, score in enumerate(scores, 1)]
    shuffled = rng.sample(scores, count)
    other = [NodeView(place, 0, 1, 10, score) for place, score in enumerate(shuffled, 1)]

    def by_score(nodes: Sequence[NodeView]) -> Mapping[float | None, int]:
        tree = [ROOT, *nodes]
        return {tree[number].score: n for number, n in method.decide(TreeView(tree, 1, view.width)).children.items()}

    assert by_score(level) == by_score(other)


@given(TREES, st.sampled_from([0.0, 1.0, 2.0, 4.0]), st.sampled_from([0.3, 1.5, 3.0]))
def test_each_kept_cluster_gets_a_child_as_far_as_the_width_goes(
    view: TreeView, lambda_c: float, lambda_s: float
) -> None:
    decision = Ets(lambda_c, lambda_s, clusterer=ByText()).decide(view)
    kept = decision.notes.get("kept", [])
    assert isinstance(kept, list)
    if "clusters" in decision.notes:
        clusters = {view.nodes[number].text for number in kept}
        funded = {view.nodes[number].text for number in decision.children}
        assert len(funded) == min(len(clusters), left(view))
        assert set(decision.children) <= set(kept)


@pytest.mark.parametrize("method", [Rebase(), Rebase(variant="paper")], ids=["fixed", "paper"])
@given(st.lists(st.integers(0, 100), min_size=1, max_size=6, unique=True), st.integers(2, 5), st.integers(1, 40))
def test_a_merged_node_gets_what_its_samples_would_have_got_apart(
    method: Method, scores: list[int], times: int, width: int
) -> None:
    first, *others = [score / 100 for score in scores]
    apart = method.decide(level_of([*[first] * times, *others], width)).children
    view = level_of([first, *others], width)
    nodes = [ROOT, replace(view.nodes[1], multiplicity=times), *view.nodes[2:]]
    merged = method.decide(replace(view, nodes=nodes)).children
    assert merged.get(1, 0) == sum(apart.get(number, 0) for number in range(1, times + 1))


def test_nothing_to_decide_ends_the_search() -> None:
    ended = TreeView([ROOT, NodeView(1, 0, 1, 5, 0.9, state=NodeState.ENDED)], 1, 1)
    assert [method.name for method in (Beam(), BestOfN(), Dvts(), Ets())] == ["beam", "best_of_n", "dvts", "ets"]
    for method in [*FIXED, Rebase(variant="paper"), BestOfN()]:
        assert method.decide(ended).children == {}


def test_best_of_n_prunes_nothing_and_goes_on_as_often_as_a_step_was_sampled() -> None:
    assert BestOfN().decide(TreeView([ROOT], 0, 8)).children == {0: 8}
    nodes = [ROOT, NodeView(1, 0, 1, 5, 0.1, multiplicity=3), NodeView(2, 0, 1, 5, None), NodeView(3, 0, 1, 5, 0.9)]
    nodes.append(NodeView(4, 0, 1, 5, 0.9, state=NodeState.ENDED))
    assert BestOfN().decide(TreeView(nodes, 1, 8)).children == {1: 3, 2: 1, 3: 1}


def level_of(scores: Sequence[float | None], width: int) -> TreeView:
    return TreeView([ROOT, *(NodeView(place, 0, 1, 10, score) for place, score in enumerate(scores, 1))], 1, width)


def total(decision: Decision) -> int:
    return sum(decision.children.values())


def test_no_overshoot_alone() -> None:
    view = tree_a(17)
    assert total(Beam(variant="paper").decide(view)) == 20
    decision = Beam(variant="paper", mends=Mends(no_overshoot=True)).decide(view)
    assert decision.children == {1: 4, 2: 4, 3: 4, 4: 4, 5: 1}
    assert decision.notes["mends"] == {"no_overshoot": {"published": [[5, 4]]}}
    equal = level_of([0.5] * 5, 16)
    assert list(Rebase(variant="paper").decide(equal).children) == [5, 4, 3, 2, 1]
    assert Rebase(variant="paper", mends=Mends(no_overshoot=True)).decide(equal).children == {
        1: 4,
        2: 3,
        3: 3,
        4: 3,
        5: 3,
    }
    close = level_of([0.38, 0.46], 4)
    assert Rebase(variant="paper").decide(close).children == {2: 3, 1: 2}  # as with PyTorch: 5 of 4
    decision = Rebase(variant="paper", mends=Mends(no_overshoot=True)).decide(close)
    assert decision.children == {2: 3, 1: 1}
    assert decision.notes["mends"] == {"no_overshoot": {"published": [[1, 2]]}}


def test_account_width_alone() -> None:
    view = level_of([0.9, 0.8], 17)
    assert total(Beam(variant="paper").decide(view)) == 8  # two of the five beams exist
    decision = Beam(variant="paper", mends=Mends(account_width=True)).decide(view)
    assert decision.children == {1: 9, 2: 9}
    assert decision.notes["mends"] == {"account_width": {"published": [[1, 4], [2, 4]]}}
    unscored = replace(tree_a(16), nodes=[*tree_a(16).nodes, NodeView(9, 0, 1, 5, None, state=NodeState.ENDED)])
    assert total(Rebase(variant="paper").decide(unscored)) == 16
    decision = Rebase(variant="paper", mends=Mends(account_width=True)).decide(unscored)
    assert decision.notes["width"] == 15
    assert decision.notes["mends"] == {"account_width": {"ended_without_score": 1}}


def dvts_tree() -> TreeView:
    """Width 6, two subtrees below nodes 1 and 4; in the first all but one of three steps have ended."""
    nodes = [ROOT, *(NodeView(place, 0, 1, 10, score) for place, score in enumerate([0.9, 0.1, 0.2, 0.8, 0.3, 0.4], 1))]
    states = [NodeState.ENDED, NodeState.OPEN, NodeState.ENDED, NodeState.OPEN, NodeState.OPEN, NodeState.OPEN]
    for place, state in enumerate(states):
        nodes.append(NodeView(7 + place, 1 if place < 3 else 4, 2, 10, 0.5 + place / 100, state=state))
    return TreeView(nodes, 2, 6)


def test_a_subtree_of_dvts_has_less_width_when_paths_of_it_have_ended() -> None:
    view = dvts_tree()
    assert Dvts(2, variant="paper").decide(view).children == {8: 3, 12: 3}
    decision = Dvts(2).decide(view)
    assert decision.children == {8: 1, 12: 3}
    assert decision.notes["mends"] == {"account_width": {"published": [[8, 3]]}}


def test_a_path_that_ended_several_times_takes_as_much_width_of_its_subtree() -> None:
    view = dvts_tree()
    merged = [replace(node, multiplicity=2) if node.number == 7 else node for node in view.nodes if node.number != 9]
    nodes = [replace(node, number=place) for place, node in enumerate(merged)]
    assert Dvts(2).decide(replace(view, nodes=nodes)).children == {8: 1, 11: 3}


def test_what_an_ended_subtree_leaves_goes_to_the_others() -> None:
    view = dvts_tree()
    nodes = [replace(node, state=NodeState.SPENT) if node.number in {8, 10, 11} else node for node in view.nodes]
    decision = Dvts(2).decide(replace(view, nodes=nodes))
    assert decision.children == {12: 1}
    lost = [node for node in view.nodes if node.parent != 1 or node.depth < 2]
    renumbered = [replace(node, number=place) for place, node in enumerate(lost)]
    decision = Dvts(2).decide(replace(view, nodes=renumbered, lost={2: 3}))
    assert decision.children == {9: 6}
    assert decision.notes["lost"] == 3


def test_the_remainder_of_dvts_is_used() -> None:
    view = level_of([0.9, 0.8, 0.7, 0.6], 7)
    assert Dvts(2, variant="paper").decide(view).children == {1: 3, 3: 3}
    assert Dvts(2).decide(view).children == {1: 4, 3: 3}


def test_no_overshoot_alone_cuts_dvts_where_the_width_ends() -> None:
    decision = Dvts(2, variant="paper", mends=Mends(no_overshoot=True)).decide(dvts_tree())
    assert decision.children == {8: 3, 12: 1}
    assert decision.notes["mends"] == {"no_overshoot": {"published": 6}}


def test_dvts_without_first_steps_to_choose_from_ends() -> None:
    nodes = [ROOT, NodeView(1, 0, 1, 10, None), NodeView(2, 1, 2, 10, 0.5)]
    mends = Mends(account_width=True)
    assert Dvts(variant="paper", mends=mends).decide(TreeView(nodes, 2, 4)).children == {2: 4}


def test_distinct_subtrees_alone() -> None:
    view = level_of([0.9, 0.8], 16)
    assert Dvts(variant="paper").decide(view).children == {1: 8, 2: 8}
    assert Dvts(variant="paper", mends=Mends(distinct_subtrees=True)).decide(view).children == {1: 4, 2: 4}
    kv = Dvts(variant="paper").decide(view).notes["kv"]
    assert isinstance(kv, dict)
    assert kv["published"] == 2 + 4 * 10


def test_steps_without_a_score_go_on_when_there_are_no_others() -> None:
    view = level_of([None, None], 4)
    assert Rebase(variant="paper").decide(view).children == {}
    for method in (Rebase(), Beam(), Dvts(), Ets(), Ets(1.0, 1.0, clusterer=ByText())):
        decision = method.decide(view)
        assert total(decision) == 4
        assert "keep_unscored" in str(decision.notes["mends"])


def test_keep_clusters_alone() -> None:
    published = Ets(1.0, 1.5, clusterer=ByText(), variant="paper").decide(tree_b(16))
    assert published.children == {4: 5, 5: 5, 8: 3, 10: 3}
    decision = Ets(1.0, 1.5, clusterer=ByText(), variant="paper", mends=Mends(keep_clusters=True)).decide(tree_b(16))
    assert decision.children == {4: 4, 5: 4, 6: 1, 8: 3, 9: 1, 10: 3}
    assert decision.notes["mends"] == {"keep_clusters": {"published": [[4, 5], [5, 5], [6, 0], [9, 0]]}}


def test_with_too_little_width_the_best_clusters_get_a_child() -> None:
    assert with_each_cluster([2, 0, 0], [0, 1, 2], [0, 1, 2], [0.9, 0.1, 0.5]) == [1, 0, 1]
    assert with_each_cluster([1, 0], [0, 1], [0, 1], [0.9, 0.1]) == [1, 0]


def test_scores_that_kill_the_published_allocation_do_not_harm_the_fixed_one() -> None:
    decision = Ets().decide(level_of([-1e6, -2e6], 4))
    assert decision.children == {1: 4}
    high = Ets().decide(level_of([1e6, 1e5], 4))
    assert high.children == {1: 4}
    assert "published_fails" in str(high.notes["mends"])


def test_free_at_zero_alone() -> None:
    def objective(method: Ets) -> object:
        return method.decide(tree_a(16)).notes["objective"]

    assert objective(Ets(0.0, variant="paper")) == pytest.approx(1.0001)
    assert objective(Ets(0.0, variant="paper", mends=Mends(free_at_zero=True))) == pytest.approx(1.0)


def test_token_cost_prices_long_paths() -> None:
    nodes = [ROOT, NodeView(1, 0, 1, 10, 0.5), NodeView(2, 0, 1, 300, 0.5), NodeView(3, 0, 1, 10, 0.5)]
    view = TreeView(nodes, 1, 9)
    assert Ets(1.0).decide(view).notes["kept"] == [1, 2, 3]
    decision = Ets(1.0, mends=Mends(token_cost=True)).decide(view)
    assert decision.notes["kept"] == [1, 3]
    assert "token_cost" in str(decision.notes["mends"])


def test_the_prompt_costs_nothing_by_tokens() -> None:
    nodes = [replace(ROOT, tokens=10_000), NodeView(1, 0, 1, 10, 0.9), NodeView(2, 0, 1, 10, 0.2)]
    costs = Ets(1.0, mends=Mends(token_cost=True)).decide(TreeView(nodes, 1, 4)).notes["objective"]
    assert costs == pytest.approx(1.0 - 0.5)


def test_count_lost_alone() -> None:
    view = replace(tree_a(16), lost={1: 3, 2: 100})
    assert total(Rebase().decide(view)) == 16
    decision = Rebase(mends=Mends(count_lost=True)).decide(view)
    assert total(decision) == 13
    assert decision.notes["mends"] == {"count_lost": {"lost": 3}}


def test_the_record_of_a_run_has_every_mend_of_its_method() -> None:
    told = parameters(Rebase(mends=Mends(keep_unscored=False)))["mends"]
    assert told == {"no_overshoot": True, "account_width": True, "keep_unscored": False, "count_lost": False}
    for method in (Rebase(variant="paper"), Beam(variant="paper"), Dvts(variant="paper"), Ets(variant="paper")):
        told = parameters(method)
        assert told["variant"] == "paper"
        assert len(told["mends"]) >= 4
        assert not any(told["mends"].values())
    assert set(parameters(Ets())["mends"]) == set(Ets.switches)


def test_a_variant_says_what_it_implies() -> None:
    lines = Ets(1.0, 1.5, variant="paper", mends=Mends(keep_clusters=True)).describe()
    assert lines[0] == "ETS with lambda_c 1, lambda_s 1.5, temperature 0.2, variant paper"
    assert "keep_clusters on: each kept cluster gets a child" in lines
    assert "free_at_zero off: as published, lambda_c = 0 pays each node 1e-4 of its share" in lines
    for method in (Rebase(), Beam(), Dvts(2)):
        assert "no_overshoot on" in method.describe()[1]
    assert BestOfN().describe()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rebase(temperature=0.0), "temperature = 0"),
        (lambda: Rebase(variant="published"), "'paper' or 'fixed'"),  # type: ignore[arg-type]
        (lambda: Rebase(mends=Mends(keep_clusters=True)), "keep_clusters means nothing here"),
        (lambda: Beam(0), "beams = 0"),
        (lambda: Dvts(0), "subtrees = 0"),
        (lambda: Ets(-1.0), "lambda_c = -1"),
        (lambda: Ets(math.inf), "lambda_c = inf.*finite"),
        (lambda: Ets(1.0, math.inf), "lambda_s = inf.*finite"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(ConfigurationError, match=message):
        make()
