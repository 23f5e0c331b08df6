"""Runs that no server made: journals of a random policy under REBASE's allocation, and trees by hand."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from ets_client import Usage
from ets_client.search import rebase_allocation
from ets_client.search.children import TreeRules
from ets_client.search.journal import (
    DecisionEntry,
    EndEntry,
    Entry,
    QuestionEntry,
    RunEntry,
    ScoresEntry,
    StepEntry,
    StepsEntry,
)
from ets_client.search.journal.codec import encode_line
from ets_client.search.journal.grow import load_question
from ets_client.search.loaded import LoadedDecision, LoadedNode, LoadedQuestion, LoadedRun
from ets_client.search.manifest import Machine, Manifest, QuestionSet, ServerRecord
from ets_client.search.methods import NodeState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

__all__ = ["MANIFEST", "by_hand", "made_entries", "made_node", "made_question", "made_run", "manifest_of", "write_run"]

RULES = TreeRules(max_path_tokens=10_000, answer=r"The answer is (\S+)")
_THINGS = ["apples", "nuts", "boxes", "marbles", "stamps", "coins"]


def manifest_of(method: str = "rebase", width: int = 16) -> dict[str, Any]:
    """A manifest."""
    return Manifest(
        method={"name": method, "variant": "fixed", "temperature": 0.2},
        search={"width": width},
        rules=RULES,
        questions=QuestionSet(count=6, sha256="0"),
        policy=ServerRecord(model="/models/SmolLM2-135M-Instruct", sglang="0.5.18"),
        machine=Machine(host="node7", system="Linux", cpus=2, python="3.11", ets_client="0.1.0", began="2026-01-01"),
        scorer={"name": "reward"},
        sampling={"temperature": 0.5},
    ).as_json()


MANIFEST = manifest_of()


def _plain(text: str) -> str:
    return text


def made_entries(
    number: int = 0,
    *,
    width: int = 8,
    depth: int = 5,
    seed: int = 0,
    text: Callable[[str], str] = _plain,
    expected: str | None = "",
    ending: float = 1.0,
) -> list[Entry]:
    """The journal of a question that a random policy answers, right half the time.

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
    prompt = [chance.randrange(50_000) for _ in range(chance.randint(40, 90))]
    answer = right if expected == "" else expected
    entries: list[Entry] = [QuestionEntry(number, problem, prompt, problem, answer)]
    clock, ended, answers = 0.0, 0, list[str]()
    level: dict[str, tuple[float, int]] = {"r": (1.0, len(prompt))}  # open nodes: score and tokens of the path
    for turn in range(depth):
        counts = rebase_allocation([score for score, _ in level.values()], max(0, width - ended), 0.2)
        given = [(node, n) for node, n in zip(level, counts, strict=True) if n]
        if not given:
            break
        entries.append(DecisionEntry(number, turn, turn, given, notes={"left": width - ended, "temperature": 0.2}))
        below: dict[str, tuple[float, int]] = {}
        for parent, n in given:
            clock += chance.random()
            steps: list[StepEntry] = []
            drawn: dict[str, list[int]] = {}
            for place in range(n):
                name, tokens = f"{parent}.{place}", level[parent][1]
                is_answer = turn >= 1 and chance.random() < ending * turn / depth
                value = right if chance.random() < 0.5 else str(first + second + chance.randint(-3, 3))
                said = f"He has {first} + {second} {thing}, take {chance.randint(1, 2 * width)}"
                said = f"The answer is {value}" if is_answer else said
                is_new = said not in drawn
                ids = drawn.setdefault(said, [chance.randrange(50_000) for _ in range(chance.randint(6, 40))])
                ended += is_answer
                answers += [value] if is_answer else []
                steps.append(
                    StepEntry(
                        ids,
                        text(said),
                        text(said) + "\n",
                        "delimiter",
                        f"made-{number:04d}-{name}",
                        "\n",
                        prompt=tokens,
                        cached=tokens - 1,
                        generated=len(ids),
                        logprob=-chance.random(),
                    )
                )
                if is_new and not is_answer:
                    below[name] = (0.0, tokens + len(ids))
            entries.append(
                StepsEntry(
                    number,
                    parent,
                    0,
                    steps,
                    {"temperature": 0.5, "seed": chance.randrange(1 << 30), "plan": "batch"},
                    at=clock,
                    warm_prompt=len(prompt) * (turn == 0),
                )
            )
            names = [f"{parent}.{place}" for place in range(n)]
            values = [None if chance.random() < 0.02 else round(chance.random(), 3) for _ in names]
            reasons = {place: "the step is empty" for place, value in enumerate(values) if value is None}
            entries.append(ScoresEntry(number, names, [*values], reasons, prompt=40 * n, cached=30 * n))
            for name, score in zip(names, values, strict=True):
                if name in below:
                    below[name] = (-9.0 if score is None else score, below[name][1])
        level = below
    entries.append(EndEntry(number, max(answers, key=answers.count) if answers else None, "done", clock + 0.5))
    return entries


def made_question(number: int = 0, **options: Any) -> LoadedQuestion:
    """The same, loaded."""
    return load_question(number, made_entries(number, **options), RULES)


def made_run(questions: int = 6, *, manifest: Mapping[str, Any] = MANIFEST, **options: Any) -> LoadedRun:
    """A run of such questions."""
    made = {number: made_question(number, **options) for number in range(questions)}
    return LoadedRun(manifest, made, 0, (manifest,))


def write_run(
    folder: Path, questions: int = 6, *, manifest: Mapping[str, Any] = MANIFEST, unfinished: int = 0, **options: Any
) -> Path:
    """The journal of such a run in a folder; of the last ``unfinished`` questions the end is missing."""
    entries: list[Entry] = [RunEntry(1, dict(manifest))]
    for number in range(questions):
        made = made_entries(number, **options)
        entries += made[:-1] if number >= questions - unfinished else made
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "journal.jsonl").write_bytes(b"".join(map(encode_line, entries)))
    return folder


def made_node(name: str, **fields: Any) -> LoadedNode:
    """A node by hand; what is not given is of a plain open step of ten tokens."""
    parent = name.rpartition(".")[0] or None
    plain: dict[str, Any] = {
        "number": 0, "parent": parent, "depth": name.count("."), "token_ids": (1,) * 10, "text": f"step {name}",
        "state": NodeState.OPEN, "end": "delimiter" if parent else None, "score": 0.5 if parent else None,
        "score_failure": None, "answer": None, "multiplicity": 1, "children": (), "given": 0,
        "usage": Usage(20, 19, 10),
        "rid": f"q-{name}" if parent else "", "request": {"temperature": 0.5, "seed": 3} if parent else {},
        "logprob": None, "at": 0.0,
    }  # fmt: skip
    plain |= fields
    plain.setdefault("full_text", plain["text"] + ("\n" if parent else ""))
    return LoadedNode(id=name, **plain)


def by_hand(nodes: Sequence[LoadedNode], decisions: Sequence[Mapping[str, int]] = (), **fields: Any) -> LoadedQuestion:
    """A question of such nodes; the i-th decision is of level i."""
    plain: dict[str, Any] = {
        "number": 0, "problem": "1 + 1?", "expected": "2", "answer": None, "why": "done", "seconds": 1.0,
        "warm_usage": Usage(), "scoring_usage": Usage(),
    } | fields  # fmt: skip
    made = tuple(LoadedDecision(turn, turn, children, {}) for turn, children in enumerate(decisions))
    return LoadedQuestion(nodes={node.id: node for node in nodes}, decisions=made, **plain)
