"""KV figures: ETS's own on its golden trees, and what a server holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from ets_client.search.evaluate.kv import published_kv, resident_kv
from ets_client.search.methods import NodeState

from ..made_runs import by_hand, made_node, made_question

if TYPE_CHECKING:
    from ets_client.search.loaded import LoadedNode, LoadedQuestion

ROOT = made_node("r", token_ids=(1,) * 30)


def step(name: str, tokens: int = 40, **fields: object) -> LoadedNode:
    return made_node(name, token_ids=(1,) * tokens, **fields)


# The published functions' own results on these trees, of one level: 322 and 402; the level of the root alone has 2.
TREE_A = [ROOT, *(step(f"r.{place}") for place in range(8))]
TREE_B = [
    ROOT, step("r.0"), step("r.1"), step("r.2"), *(step(f"r.0.{place}", 30) for place in range(4)), step("r.1.0", 50),
    step("r.1.1", 50), step("r.2.0", 60),
]  # fmt: skip


def test_ets_counts_candidates_and_what_is_above_them() -> None:
    assert published_kv(by_hand(TREE_A, [{"r": 8}, {"r.0": 4}])) == 2 + 322
    first = 2 + 3 * 40
    assert published_kv(by_hand(TREE_B, [{"r": 3}, {"r.0": 4, "r.1": 2, "r.2": 1}, {"r.0.0": 7}])) == 2 + first + 402


def test_ets_leaves_out_answers_steps_without_a_score_and_levels_that_were_not_decided() -> None:
    nodes = [ROOT, step("r.0"), step("r.1", state=NodeState.ENDED, answer="2"), step("r.2", score=None), step("r.0.0")]
    assert published_kv(by_hand(nodes, [{"r": 3}, {"r.0": 1}])) == 2 + (2 + 40)


def test_a_step_that_was_sampled_several_times_is_one_candidate() -> None:
    assert published_kv(by_hand([ROOT, step("r.0", multiplicity=3)], [{"r": 3}, {"r.0": 3}])) == 2 + (2 + 40)


def test_pruned_nodes_are_gone_when_the_next_level_is_there() -> None:
    question = by_hand(TREE_B, [{"r": 3}, {"r.0": 4, "r.1": 2}, {"r.0.0": 7}])
    first = 30 + 3 * 40
    second = 30 + 2 * 40 + 4 * 30 + 2 * 50  # r.2 was pruned, and with it its recorded child
    assert resident_kv(question).by_turn == (first, second, 30 + 40 + 30)
    assert resident_kv(question).peak == second
    assert resident_kv(question).mean == (first + second + 100) / 3


def test_a_decision_that_ends_the_search_holds_nothing_and_counts_in_no_mean() -> None:
    held = resident_kv(by_hand(TREE_A, [{"r": 8}, {}]))
    assert held.by_turn == (30 + 8 * 40, 0)
    assert held.mean == held.peak == 30 + 8 * 40


def test_without_levels_a_node_lives_until_its_last_children_are_asked_for() -> None:
    nodes = [ROOT, step("r.0", 5), step("r.1", 7), step("r.0.0", 11), step("r.1.0", 13)]
    question = by_hand(nodes, [{"r": 2}, {"r.0": 1}, {"r.1": 1}])
    assert resident_kv(question).by_turn == (30 + 5 + 7, 30 + 5 + 7 + 11, 30 + 7 + 13)


def test_a_question_without_decisions_held_nothing() -> None:
    assert (resident_kv(by_hand([ROOT])).mean, resident_kv(by_hand([ROOT])).peak) == (0.0, 0)


def slow(question: LoadedQuestion) -> list[int]:
    """The definition, straight."""
    held: list[int] = []
    samples: dict[str, int] = {}
    made: list[list[str]] = []
    for decision in question.decisions:
        made.append([])
        for parent, n in decision.children.items():
            first = samples.get(parent, 0)
            made[-1] += [f"{parent}.{place}" for place in range(first, first + n)]
            samples[parent] = first + n
    for turn in range(len(made)):
        there = {"r", *(name for names in made[: turn + 1] for name in names if name in question.nodes)}
        live = {name for name in made[turn] if name in question.nodes}
        for later in question.decisions[turn:]:
            for parent in later.children:
                live |= {node.id for node in question.path(question.nodes[parent])} & there
        held.append(sum(len(question.nodes[name].token_ids) for name in live))
    return held


@given(st.integers(0, 10_000))
def test_what_is_held_is_what_is_made_now_or_needed_later(seed: int) -> None:
    question = made_question(seed=seed, width=6, depth=6)
    assert list(resident_kv(question).by_turn) == slow(question)
