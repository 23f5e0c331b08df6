"""What a page knows of a tree."""

from __future__ import annotations

import base64
import math

from hypothesis import given
from hypothesis import strategies as st

from ets_client.search.pages.data import packed_ids, question_data, summary_of

from ..made_runs import by_hand, made_node, made_question


def same(one: str, two: str) -> bool:
    return one == two


def unpacked(packed: str) -> list[int]:
    ids, value, shift = list[int](), 0, 0
    for byte in base64.b64decode(packed):
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            ids.append(value)
            value = shift = 0
    return ids


@given(st.lists(st.integers(0, 1 << 40)))
def test_ids_are_packed_without_loss(ids: list[int]) -> None:
    assert unpacked(packed_ids(ids)) == ids


@given(st.integers(0, 1000))
def test_every_node_is_there_with_its_request(seed: int) -> None:
    question = made_question(seed=seed, width=6, depth=4)
    data = question_data(question, same)
    columns = data["nodes"]
    nodes = list(question.nodes.values())
    assert {len(column) for column in columns.values() if isinstance(column, list)} == {len(nodes)}
    for place, node in enumerate(nodes):
        assert columns["text"][place] + columns["stop"][place] == node.full_text
        assert unpacked(columns["ids"][place]) == list(node.token_ids)
        parent = columns["parent"][place]
        assert parent < place
        if node.parent is not None:
            assert f"{nodes[parent].id}.{columns['place'][place]}" == node.id
            assert {**data["requests"][columns["request"][place]], "seed": columns["seed"][place]} == node.request
        assert (columns["class"][place] >= 0) == (node.answer is not None)
        assert columns["failure"].get(place) == node.score_failure
    assert sum(n for decision in data["decisions"] for _, n in decision["children"]) == sum(
        node.given for node in nodes
    )


def test_the_summary_has_the_figures_of_the_question() -> None:
    question = made_question(width=6, depth=4)
    summary = summary_of(question, same)
    assert summary["samples"] >= summary["nodes"] == len(question.nodes) - 1
    assert summary["answers"] == sum(each["votes"] for each in summary["classes"])
    assert [each["votes"] for each in summary["classes"]] == sorted(
        (each["votes"] for each in summary["classes"]), reverse=True
    )
    assert summary["generated"] == question.usage.completion_tokens


def test_what_has_not_ended_is_neither_right_nor_wrong() -> None:
    assert summary_of(by_hand([made_node("r")], why=None), same)["right"] is None
    assert summary_of(by_hand([made_node("r")], expected=None), same)["right"] is None
    assert summary_of(by_hand([made_node("r")]), same)["right"] is False
    assert summary_of(by_hand([made_node("r")], answer="2"), same)["right"] is True


def test_the_winner_is_known_by_its_class() -> None:
    nodes = [
        made_node("r"),
        made_node("r.0", answer="2"),
        made_node("r.1", answer="3"),
        made_node("r.2", score=math.inf),
    ]
    assert question_data(by_hand(nodes, answer="3"), same)["winner"] == 1
    assert question_data(by_hand(nodes), same)["winner"] == -1
