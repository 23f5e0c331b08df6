"""MCTS: where samples go."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client import ConfigurationError
from ets_client.search.methods import Mcts, NodeState, NodeView, TreeView

from .trees import ROOT


def view(*rows: tuple[int, float | None], given: dict[int, int] | None = None, width: int = 4) -> TreeView:
    """A tree of nodes by parent and score; who has children was given these."""
    nodes = [ROOT]
    counts: dict[int, int] = {}
    for parent, score in rows:
        nodes.append(NodeView(len(nodes), parent, nodes[parent].depth + 1, 10, score))
        counts[parent] = counts.get(parent, 0) + 1
    return TreeView(nodes, 0, width, counts if given is None else given)


def test_the_first_samples_are_all_of_the_root() -> None:
    assert Mcts().decide(view()).children == {0: 4}
    assert Mcts(batch=7).decide(view()).children == {0: 7}


def test_without_exploration_it_goes_on_from_the_best() -> None:
    # The root has had its share: with 3 visits, one child at most.
    method = Mcts(batch=1, exploration=0.0, exponent=0.0)
    assert method.decide(view((0, 0.2), (0, 0.9), (0, 0.5))).children == {2: 1}


def test_with_much_exploration_it_goes_where_little_is_known() -> None:
    method = Mcts(batch=1, exploration=100.0, exponent=0.0, widening=2.0)
    rows = [(0, 0.2), (0, 0.9), (2, 0.9), (2, 0.8)]
    assert method.decide(view(*rows)).children == {1: 1}


def test_a_node_is_widened_as_its_visits_grow() -> None:
    method = Mcts(batch=1, exploration=0.0, exponent=0.5)
    few, many = [(0, 0.9)] * 1, [(0, 0.9), *[(1, 0.9)] * 3]
    assert method.decide(view(*few)).children == {1: 1}  # 1 visit, 1 child: 1 < sqrt(1) does not hold
    assert method.decide(view(*many)).children == {0: 1}  # 4 visits, 1 child


def test_samples_on_their_way_send_the_others_elsewhere() -> None:
    method = Mcts(batch=2, exploration=0.5, exponent=0.0, widening=1.0)
    assert method.decide(view((0, 0.9), (0, 0.8), (0, 0.1))).children == {1: 1, 2: 1}


def test_samples_that_have_not_arrived_count_as_visits() -> None:
    method = Mcts(batch=1, exploration=0.5, exponent=0.0)
    assert method.decide(view((0, 0.9), (0, 0.8), (0, 0.1))).children == {1: 1}
    assert method.decide(view((0, 0.9), (0, 0.8), (0, 0.1), given={0: 3, 1: 2})).children == {2: 1}


def test_it_stops_after_its_simulations() -> None:
    tree = view((0, 0.9), (0, 0.8), (0, 0.1))
    assert sum(Mcts(simulations=5).decide(tree).children.values()) == 2
    assert Mcts(simulations=3).decide(tree).children == {}
    assert Mcts(simulations=2).decide(tree).children == {}


def test_it_stops_when_enough_paths_have_ended() -> None:
    tree = view((0, 0.9), (0, 0.8))
    nodes = [*tree.nodes[:2], replace(tree.nodes[2], state=NodeState.ENDED, multiplicity=2)]
    assert Mcts(answers=3).decide(replace(tree, nodes=nodes)).children != {}
    assert Mcts(answers=2).decide(replace(tree, nodes=nodes)).children == {}


def test_what_has_ended_gets_no_children() -> None:
    tree = view((0, 0.9), (0, 0.8))
    nodes = [tree.nodes[0], *(replace(node, state=NodeState.SPENT) for node in tree.nodes[1:])]
    assert Mcts().decide(replace(tree, nodes=nodes)).children == {0: 4}
    assert Mcts().decide(replace(tree, nodes=[replace(ROOT, state=NodeState.ENDED)])).children == {}


def test_logarithms_of_scores_are_explored_as_much_as_scores() -> None:
    rows = [(0, 0.9), (0, 0.5), (1, 0.1), (2, 0.7)]
    shifted = [(parent, score * 40 - 100) for parent, score in rows]
    method = Mcts(batch=6, exponent=0.3)
    assert method.decide(view(*rows)).children == method.decide(view(*shifted)).children


ROWS = st.lists(st.tuples(st.integers(0, 30), st.none() | st.floats(-5, 5)), max_size=30)


@given(ROWS, st.integers(1, 60), st.integers(1, 9), st.floats(0, 3), st.floats(0.5, 2), st.floats(0, 1))
def test_it_asks_for_a_batch_of_open_and_scored_nodes(
    rows: list[tuple[int, float | None]],
    simulations: int,
    batch: int,
    exploration: float,
    widening: float,
    exponent: float,
) -> None:
    tree = view(*((parent % (place + 1), score) for place, (parent, score) in enumerate(rows)))
    method = Mcts(simulations, batch, exploration, widening, exponent)
    decision = method.decide(tree)
    assert sum(decision.children.values()) == max(0, min(batch, simulations - len(rows)))
    scored = [node for node in tree.nodes[1:] if node.score is not None]
    for number in decision.children:
        assert number == 0 or tree.nodes[number].score is not None or not scored
    assert decision == method.decide(tree)
    visited = decision.notes["visits_and_worth"]
    assert isinstance(visited, list)
    assert all(math.isfinite(worth) for _, _, worth in visited)


def test_where_nothing_has_a_score_all_steps_are_alike() -> None:
    assert Mcts(batch=1, exponent=0.0).decide(view((0, None), (0, None))).children == {1: 1}


@pytest.mark.parametrize(
    "parameters",
    [{"simulations": 0}, {"batch": 0}, {"answers": 0}, {"exploration": -1.0}, {"widening": 0.0}, {"exponent": 2.0}],
)
def test_parameters_out_of_range_are_refused(parameters: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(parameters))):
        Mcts(**parameters)


def test_it_says_what_it_does() -> None:
    assert Mcts().name == "mcts"
    assert "64 samples, as many as the width at once" in Mcts().describe()[0]
    assert "or until 3 paths have ended, 8 at once" in Mcts(batch=8, answers=3).describe()[0]


def test_scores_whose_spread_no_float_holds_are_scaled_as_others_are() -> None:
    far = view((0, 1e308), (0, -1e308), (0, 0.0), given={0: 3})
    near = view((0, 1.0), (0, -1.0), (0, 0.0), given={0: 3})
    method = Mcts(exploration=0.1)
    assert method.decide(far).children == method.decide(near).children
    assert method.decide(far).notes == method.decide(near).notes
