"""The published searches, bit for bit: golden vectors of the original code, and a second writing of its description."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ets_client.search.methods import (
    Beam,
    Dvts,
    Ets,
    NodeView,
    Rebase,
    TreeView,
    held_kv_tokens,
    published_kv_tokens,
)
from ets_client.search.methods.float32 import exp32, round32, sum32
from ets_client.search.methods.published import published_rebase_allocation

from . import transcription
from .trees import ROOT, ByText, random_tree, tree_a, tree_b

if TYPE_CHECKING:
    from ets_client.search.methods import Method

TREES = 10_000


@pytest.mark.parametrize(
    ("width", "children"),
    [(4, {1: 2, 2: 2}), (8, {1: 4, 2: 3, 3: 1}), (16, {1: 7, 2: 5, 3: 2, 4: 1, 5: 1})],
)
def test_rebase_as_the_original_on_tree_a(width: int, children: dict[int, int]) -> None:
    assert Rebase(variant="paper").decide(tree_a(width)).children == children


@pytest.mark.parametrize(("width", "beams", "each"), [(8, 3, 3), (15, 4, 4), (16, 4, 4), (17, 5, 4)])
def test_beam_search_as_the_original_on_tree_a(width: int, beams: int, each: int) -> None:
    children = Beam(variant="paper").decide(tree_a(width)).children
    assert children == dict.fromkeys(range(1, beams + 1), each)


def test_dvts_as_the_original_on_tree_a() -> None:
    assert Dvts(variant="paper").decide(tree_a(16)).children == {1: 4, 3: 4, 5: 4, 7: 4}


@pytest.mark.parametrize(
    ("lambda_c", "children"),
    [
        (0.0, {1: 7, 2: 5, 3: 2, 4: 1, 5: 1}),
        (0.5, {1: 7, 2: 6, 3: 2, 4: 1}),
        (1.0, {1: 8, 2: 6, 3: 2}),
        (2.0, {1: 9, 2: 7}),
        (4.0, {1: 16}),
    ],
)
def test_ets_as_the_original_on_tree_a(lambda_c: float, children: dict[int, int]) -> None:
    assert Ets(lambda_c, variant="paper").decide(tree_a(16)).children == children


def test_rebase_as_the_original_on_tree_b() -> None:
    assert Rebase(variant="paper").decide(tree_b(16)).children == {4: 5, 5: 4, 8: 4, 10: 3}


@pytest.mark.parametrize(
    ("lambda_c", "lambda_s", "kept", "children"),
    [
        (1.0, 0.0, [[4, 5, 8, 10]], {4: 5, 5: 5, 8: 4, 10: 2}),
        (1.0, 0.5, [[4, 5, 6, 8, 9, 10], [4, 5, 7, 8, 9, 10]], {4: 5, 5: 5, 8: 3, 10: 3}),
        (1.0, 1.5, [[4, 5, 6, 8, 9, 10], [4, 5, 7, 8, 9, 10]], {4: 5, 5: 5, 8: 3, 10: 3}),
        (2.0, 1.5, [[4, 5, 6, 8, 9], [4, 5, 7, 8, 9]], {4: 6, 5: 5, 8: 5}),
    ],
)
def test_ets_as_the_original_on_tree_b(
    lambda_c: float, lambda_s: float, kept: list[list[int]], children: dict[int, int]
) -> None:
    decision = Ets(lambda_c, lambda_s, clusterer=ByText(), variant="paper").decide(tree_b(16))
    assert decision.notes["kept"] in kept
    assert decision.children == children


@pytest.mark.parametrize(
    "method", [Rebase(variant="paper"), Beam(variant="paper"), Dvts(variant="paper"), Ets(variant="paper")]
)
def test_the_published_kv_figure_is_the_same_whatever_is_pruned(method: Method) -> None:
    for view, tokens in ((tree_a(16), 322), (tree_b(16), 402)):
        notes = method.decide(view).notes["kv"]
        assert isinstance(notes, dict)
        assert notes["published"] == tokens


def test_the_honest_kv_figure_counts_the_prompt_and_what_is_kept() -> None:
    nodes = tree_b(16).nodes
    nodes = [replace(nodes[0], tokens=1000), *nodes[1:]]
    assert published_kv_tokens(nodes, range(4, 11)) == 402
    assert held_kv_tokens(nodes, [4, 5, 10]) == 1000 + 40 + 30 + 30 + 40 + 60
    assert held_kv_tokens(nodes, []) == 0


@pytest.mark.parametrize(
    ("values", "total", "one_after_the_other"),
    [
        ([1e8, *[4.0] * 9], 100000016.0, 100000000.0),
        ([2.0**24, *[1.0] * 40], 16777244.0, 16777216.0),
        ([0.1 * number for number in range(1, 38)], 70.30000305175781, 70.29999542236328),
    ],
)
def test_the_sum_adds_in_the_order_of_torch(values: list[float], total: float, one_after_the_other: float) -> None:
    # What torch.tensor(values).sum() of PyTorch 2.13 gives, and a loop over that tensor.
    numbers = [round32(value) for value in values]
    assert sum32(numbers) == total
    plain = 0.0
    for number in numbers:
        plain = round32(plain + number)
    assert plain == one_after_the_other


def test_the_exponential_leaves_the_range_as_float32_does() -> None:
    assert exp32(1000.0) == math.inf
    assert exp32(100.0) == math.inf
    assert exp32(-1000.0) == 0.0
    assert exp32(-math.inf) == 0.0


def test_where_the_published_code_dies_the_fixed_rule_decides_and_the_notes_say_so() -> None:
    far = TreeView([ROOT, NodeView(1, 0, 1, 5, 0.9), NodeView(2, 0, 1, 5, -30.0)], 1, 8)
    with pytest.raises(ArithmeticError, match="divides 0"):
        published_rebase_allocation([0.9, -30.0], 8, 0.2)
    for method in (Rebase(variant="paper"), Rebase(variant="fixed")):
        decision = method.decide(far)
        assert decision.children == {1: 8}
        assert "divides 0" in str(decision.notes["published_fails"])
    low = TreeView([ROOT, NodeView(1, 0, 1, 5, -90.0), NodeView(2, 0, 1, 5, -90.0)], 1, 8)
    decision = Ets(variant="paper").decide(low)
    assert decision.children == {1: 4, 2: 4}
    assert "published_fails" in decision.notes


METHODS: dict[str, Method] = {
    "softmax": Rebase(variant="paper"),
    "beam_search": Beam(variant="paper"),
    "dvts": Dvts(variant="paper"),
}


def transcribed(view: TreeView, **parameters: float) -> transcription.Search:
    """The same tree for the other writing."""
    nodes: list[transcription.Node] = []
    for node in view.nodes:
        parent = nodes[node.parent] if node.parent >= 0 else None
        ended, spent = node.state == "ended", node.state == "spent"
        nodes.append(
            transcription.Node(
                node.number, parent, node.score, node.tokens, ended, spent, int(node.text or "0")
            )
        )  # fmt: skip
    return transcription.Search(nodes, view.width, **parameters)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", METHODS)
def test_it_agrees_with_the_transcription_on_ten_thousand_trees(method: str) -> None:
    rng = random.Random(method)
    decided = 0
    for _ in range(TREES):
        width = rng.choice([2, 4, 7, 8, 16, 17, 33])
        view = random_tree(rng, depth=rng.randint(1, 3), level=rng.choice([3, 12, 20]), width=width, missing=0.1)
        search = transcribed(view)
        for depth in range(view.depth + 1):
            before = search.kv_size
            expected = search.level(depth, method)
            decision = METHODS[method].decide(replace(view, depth=depth))
            merged: dict[int, int] = {}
            for node, count in expected or []:
                merged[node.id] = merged.get(node.id, 0) + count
            assert list(decision.children.items()) == list(merged.items()), view
            if expected is None:
                break
            kv = decision.notes["kv"]
            assert isinstance(kv, dict)
            assert kv["published"] == search.kv_size - before
            decided += 1
    assert decided > TREES


@pytest.mark.parametrize("lambda_s", [0.0, 1.5])
def test_ets_agrees_with_the_transcription_on_ten_thousand_trees(lambda_s: float) -> None:
    rng = random.Random(int(lambda_s * 10))
    compared = 0
    for _ in range(TREES):
        width, lambda_c = rng.choice([4, 8, 16, 33]), rng.choice([0.0, 0.5, 1.0, 2.0, 4.0])
        view = random_tree(rng, depth=rng.randint(1, 3), level=7, width=width, missing=0.1)
        method = Ets(lambda_c, lambda_s, clusterer=ByText(), variant="paper")
        search = transcribed(view, lambdac=lambda_c, lambdas=lambda_s)
        for depth in range(view.depth):
            search.level(depth, "beam_search")  # lowers the width; what it selects does not matter
        expected = search.level(view.depth, "softmax_costmodel")
        decision = method.decide(view)
        if expected is None:
            assert decision.children == {}
            continue
        assert decision.notes["objective"] == pytest.approx(search.objective, abs=1e-9)
        if search.is_unique:
            compared += 1
            assert list(decision.children.items()) == [(node.id, count) for node, count in expected], view
    assert compared > TREES // 3
