"""What a page knows of its tree: columns instead of objects, so that 6,400 nodes stay a few megabytes. Pure."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from ..evaluate.candidates import answers_of
from ..evaluate.costs import costs_of
from ..evaluate.kv import resident_kv
from ..evaluate.tally import tally
from ..methods.view import NodeState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..evaluate.equality import IsSame
    from ..evaluate.tally import Tally
    from ..loaded import LoadedNode, LoadedQuestion

__all__ = ["packed_ids", "question_data", "summary_of"]

_STATES = {NodeState.OPEN: 0, NodeState.ENDED: 1, NodeState.SPENT: 2}


def summary_of(question: LoadedQuestion, is_same: IsSame) -> dict[str, Any]:
    """The figures of a question that its row in the index and the head of its page show.

    Args:
        question: as it was recorded.
        is_same: whether two answers mean the same.
    """
    found = tally(answers_of(question), question.expected, is_same)
    costs = costs_of(question)
    classes = sorted(found.classes, key=lambda each: -each.votes)
    answer = question.answer
    is_right = None
    if question.expected is not None and question.why is not None:
        is_right = answer is not None and is_same(answer, question.expected)
    return {
        "number": question.number,
        "problem": question.problem,
        "expected": question.expected,
        "answer": answer,
        "right": is_right,
        "why": question.why,
        "classes": [{"answer": each.answer, "right": each.is_right, "votes": each.votes} for each in classes],
        "answers": sum(each.votes for each in classes),
        "nodes": len(question.nodes) - 1,
        "depth": max(node.depth for node in question.nodes.values()),
        "samples": costs.samples,
        "generated": costs.generated_tokens,
        "prompt": costs.prompt_tokens,
        "cached": costs.cached_tokens,
        "scoring": costs.scoring_tokens,
        "mean_kv": round(costs.mean_kv),
        "peak_kv": costs.peak_kv,
        "published_kv": costs.published_kv,
        "seconds": question.seconds,
    }


def question_data(question: LoadedQuestion, is_same: IsSame) -> dict[str, Any]:
    """All that a question's page draws, as plain data.

    Args:
        question: as it was recorded.
        is_same: whether two answers mean the same.
    """
    found = tally(answers_of(question), question.expected, is_same)
    nodes = list(question.nodes.values())
    places = {node.id: place for place, node in enumerate(nodes)}
    requests, request_of = _requests(nodes)
    ends = list(dict.fromkeys(node.end or "" for node in nodes))
    return {
        "number": question.number,
        "classes": [{"answer": each.answer, "right": each.is_right, "votes": each.votes} for each in found.classes],
        "winner": -1 if question.answer is None else found.class_of.get(question.answer, -1),
        "requests": requests,
        "ends": ends,
        "nodes": {
            "parent": [-1 if node.parent is None else places[node.parent] for node in nodes],
            "place": [int(node.id.rpartition(".")[2]) if node.parent is not None else 0 for node in nodes],
            "text": [node.text for node in nodes],
            "stop": [node.full_text.removeprefix(node.text) for node in nodes],
            "state": [_STATES[node.state] for node in nodes],
            "end": [ends.index(node.end or "") for node in nodes],
            "score": [node.score for node in nodes],
            "failure": {place: node.score_failure for place, node in enumerate(nodes) if node.score_failure},
            "class": [_class(node, found) for node in nodes],
            "answer": {place: node.answer for place, node in enumerate(nodes) if node.answer is not None},
            "multiplicity": [node.multiplicity for node in nodes],
            "given": [node.given for node in nodes],
            "prompt": [node.usage.prompt_tokens for node in nodes],
            "cached": [node.usage.cached_tokens for node in nodes],
            "generated": [node.usage.completion_tokens for node in nodes],
            "logprob": [None if node.logprob is None else round(node.logprob, 4) for node in nodes],
            "at": [round(node.at, 3) for node in nodes],
            "rid": [node.rid for node in nodes],
            "request": request_of,
            "seed": [node.request.get("seed") for node in nodes],
            "ids": [packed_ids(node.token_ids) for node in nodes],
        },
        "decisions": [
            {
                "turn": decision.turn,
                "depth": decision.depth,
                "children": [[places[name], n] for name, n in decision.children.items() if name in places],
                "notes": decision.notes,
                "kv": held,
            }
            for decision, held in zip(question.decisions, resident_kv(question).by_turn, strict=True)
        ],
    }


def packed_ids(ids: Iterable[int]) -> str:
    """Token ids in base64: of each id seven bits a byte, the lowest first, the highest bit set where more follow."""
    packed = bytearray()
    for each in ids:
        left = each
        while left > 0x7F:
            packed.append(left & 0x7F | 0x80)
            left >>= 7
        packed.append(left)
    return base64.b64encode(packed).decode("ascii")


def _class(node: LoadedNode, found: Tally) -> int:
    return -1 if node.answer is None else found.class_of[node.answer]


def _requests(nodes: Iterable[LoadedNode]) -> tuple[list[Mapping[str, Any]], list[int]]:
    """The different requests without their seeds, and which of them each node has."""
    different: dict[str, int] = {}
    requests: list[Mapping[str, Any]] = []
    places: list[int] = []
    for node in nodes:
        plain = {name: value for name, value in node.request.items() if name != "seed"}
        key = repr(plain)
        if key not in different:
            different[key] = len(requests)
            requests.append(plain)
        places.append(different[key])
    return requests, places
