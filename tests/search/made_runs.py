"""Runs that no server made: trees of a random policy under REBASE's allocation, as `load_run` would give them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from ets_client import Usage
from ets_client.search import rebase_allocation
from ets_client.search.loaded import LoadedDecision, LoadedNode, LoadedQuestion, LoadedRun
from ets_client.search.methods import NodeState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["made_node", "made_question", "made_run"]

MANIFEST: dict[str, Any] = {
    "method": {"name": "rebase", "variant": "fixed", "width": 16, "temperature": 0.2},
    "scorer": {"name": "reward"},
    "policy": {"model": "/models/SmolLM2-135M-Instruct", "sglang": "0.5.18"},
    "sampling": {"temperature": 0.5},
    "seed": 7,
}
_THINGS = ["apples", "nuts", "boxes", "marbles", "stamps", "coins"]


def made_node(id: str, **fields: Any) -> LoadedNode:  # noqa: A002 - the field's name
    """A node; what is not given is of a plain open step."""
    parent = id.rpartition(".")[0] or None
    plain: dict[str, Any] = {
        "number": 0, "parent": parent, "depth": id.count("."), "token_ids": (1,) * 10, "text": f"step {id}",
        "state": NodeState.OPEN, "end": "delimiter" if parent else None, "score": 0.5 if parent else None,
        "score_failure": None, "answer": None, "multiplicity": 1, "children": (), "given": 0, "usage": Usage(20, 19, 10),
        "rid": f"q-{id}" if parent else "", "request": {"temperature": 0.5, "seed": 3, "plan": "one post"} if parent else {},
        "logprob": -0.3, "at": 0.0,
    }  # fmt: skip
    plain |= fields
    plain.setdefault("full_text", plain["text"] + ("\n" if parent else ""))
    return LoadedNode(id=id, **plain)


def made_question(
    number: int = 0,
    *,
    width: int = 8,
    depth: int = 5,
    seed: int = 0,
    text: Callable[[str], str] = lambda text: text,
    expected: str | None = "",
    ending: float = 1.0,
) -> LoadedQuestion:
    """A question searched by a random policy that is right half the time.

    Args:
        number: of the question.
        width: samples of a level.
        depth: levels.
        seed: of all that is random.
        text: what to make of every text.
        expected: the right answer; the policy's own when empty.
        ending: how readily paths come to an answer, from 0 to 1.
    """
    chance = random.Random(f"{number} {seed}")
    first, second = chance.randint(2, 30), chance.randint(2, 30)
    thing, right = chance.choice(_THINGS), str(first + second)
    problem = text(f"Tom has {first} {thing} and gets {second} more. How many {thing} has he?")
    prompt = tuple(chance.randrange(50_000) for _ in range(chance.randint(40, 90)))
    nodes: dict[str, dict[str, Any]] = {"r": {"token_ids": prompt, "text": problem, "usage": Usage(), "logprob": None}}
    decisions: list[LoadedDecision] = []
    level, clock, unused = ["r"], 0.0, Usage()
    ended = 0
    for turn in range(depth):
        open_nodes = [id for id in level if nodes[id].get("state", NodeState.OPEN) is NodeState.OPEN]
        scores = [nodes[id].get("score", 1.0) for id in open_nodes]
        counts = rebase_allocation([-9.0 if each is None else each for each in scores], max(0, width - ended), 0.2)
        given = {id: count for id, count in zip(open_nodes, counts, strict=True) if count}
        if not given:
            break
        decisions.append(LoadedDecision(turn, turn, given, {"temperature": 0.2, "left": max(0, width - ended)}))
        level = []
        for parent, count in given.items():
            nodes[parent]["given"] = count
            clock += chance.random()
            same: dict[str, str] = {}
            for place in range(count):
                id = f"{parent}.{place}"
                is_answer = turn >= 1 and chance.random() < ending * turn / depth
                value = right if chance.random() < 0.5 else str(first + second + chance.randint(-3, 3))
                said = f"The answer is {value}" if is_answer else f"He has {first} + {second} {thing}, take {chance.randint(1, 2 * width)}"
                prompt_tokens = sum(len(nodes[above]["token_ids"]) for above in _above(parent))
                usage = Usage(prompt_tokens, prompt_tokens - 1, chance.randint(6, 40))
                if said in same:
                    nodes[same[said]]["multiplicity"] += 1
                    unused += usage
                    continue
                same[said] = id
                level.append(id)
                ended += is_answer
                nodes[id] = {
                    "text": text(said), "token_ids": tuple(chance.randrange(50_000) for _ in range(usage.completion_tokens)),
                    "state": NodeState.ENDED if is_answer else NodeState.OPEN, "end": "delimiter",
                    "score": None if chance.random() < 0.02 else round(chance.random(), 3),
                    "answer": value if is_answer else None, "multiplicity": 1, "usage": usage, "at": clock,
                    "logprob": -chance.random(), "rid": f"made-{number:04d}-{id}",
                    "request": {"temperature": 0.5, "seed": chance.randrange(1 << 30), "plan": "one post of n"},
                }  # fmt: skip
                if nodes[id]["score"] is None:
                    nodes[id]["score_failure"] = "the step is empty"
    children: dict[str, list[str]] = {}
    for id in nodes:
        children.setdefault(id.rpartition(".")[0], []).append(id)
    loaded = {
        id: made_node(id, **{"number": place, "children": tuple(children.get(id, ())), **fields})
        for place, (id, fields) in enumerate(nodes.items())
    }
    answers = [node.answer for node in loaded.values() if node.answer is not None]
    return LoadedQuestion(
        number=number, problem=problem, expected=right if expected == "" else expected,
        answer=max(answers, key=answers.count) if answers else None, why="done", seconds=clock + 0.5, nodes=loaded,
        decisions=tuple(decisions), warm_usage=Usage(len(prompt), 0), scoring_usage=Usage(900, 700), unused_usage=unused,
    )  # fmt: skip


def made_run(questions: int = 6, *, manifest: Mapping[str, Any] = MANIFEST, **options: Any) -> LoadedRun:
    """A run of such questions."""
    made = {number: made_question(number, **options) for number in range(questions)}
    return LoadedRun(manifest, made, 0, (manifest,))


def _above(id: str) -> list[str]:  # noqa: A002
    parts = id.split(".")
    return [".".join(parts[: n + 1]) for n in range(len(parts))]
