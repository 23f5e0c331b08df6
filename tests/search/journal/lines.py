"""Journals for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

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
from ets_client.search.manifest import Machine, Manifest, QuestionSet, ServerRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

MACHINE = Machine(host="a", system="b", cpus=1, python="3.11", ets_client="0.1.0", began="2026-01-01T00:00:00+00:00")


def manifest(**fields: Any) -> Manifest:
    made: dict[str, Any] = {
        "method": {"name": "rebase", "width": 4},
        "rules": TreeRules(max_path_tokens=100, answer=r"answer is (\d+)"),
        "questions": QuestionSet(count=2, sha256="0"),
        "policy": ServerRecord(model="m", sglang="0.5.18"),
        "machine": MACHINE,
    }
    return Manifest(**{**made, **fields})


def step(text: str = "so", **fields: Any) -> StepEntry:
    made: dict[str, Any] = {"ids": [ord(letter) for letter in text], "text": text, "full_text": text + "\n\n"}
    made |= {"end": "delimiter", "rid": f"rid-{text}", "prompt": 10, "cached": 8, "generated": len(text)}
    return StepEntry(**{**made, **fields})


def steps(parent: str, *texts: str, first: int = 0, question: int = 0, **fields: Any) -> StepsEntry:
    return StepsEntry(question, parent, first, [step(text) for text in texts], {"seed": 70, "plan": "batch"}, **fields)


def question(number: int = 0) -> QuestionEntry:
    return QuestionEntry(number, "1 + 1?", [1, 2, 3], "Q: 1 + 1?", "2")


def journal(entries: Iterable[Entry]) -> bytes:
    return b"".join(encode_line(entry) for entry in entries)


TEXT = st.text(max_size=8)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
COUNT = st.integers(0, 5)
SCALAR = st.none() | st.booleans() | st.integers(-9, 9) | NUMBER | TEXT
JSON = st.recursive(
    SCALAR, lambda each: st.lists(each, max_size=3) | st.dictionaries(TEXT, each, max_size=3), max_leaves=4
)
OBJECT = st.dictionaries(TEXT, JSON, max_size=3)
STEP = st.builds(
    StepEntry, ids=st.lists(st.integers(0, 200_000), max_size=4), text=TEXT, full_text=TEXT, end=TEXT, rid=TEXT,
    matched=st.none() | TEXT | COUNT, overshoot=TEXT, prompt=COUNT, cached=COUNT, generated=COUNT,
    logprob=st.none() | NUMBER, failed=st.none() | TEXT,
)  # fmt: skip
ENTRY: st.SearchStrategy[Entry] = st.one_of(
    st.builds(RunEntry, format=st.just(1), manifest=OBJECT),
    st.builds(
        QuestionEntry, question=COUNT, problem=TEXT, root_ids=st.lists(COUNT, max_size=4), root_text=TEXT,
        answer=st.none() | TEXT, seed=st.none() | COUNT,
    ),
    st.builds(
        DecisionEntry, question=COUNT, turn=COUNT, depth=COUNT,
        children=st.lists(st.tuples(TEXT, COUNT), max_size=3), memory=OBJECT, notes=OBJECT,
    ),
    st.builds(
        StepsEntry, question=COUNT, parent=TEXT, first=COUNT, steps=st.lists(STEP, max_size=3), request=OBJECT,
        seconds=NUMBER, at=NUMBER,
    ),
    st.builds(
        ScoresEntry, question=COUNT, nodes=st.lists(TEXT, max_size=3),
        values=st.lists(st.none() | NUMBER, max_size=3), reasons=st.dictionaries(COUNT, TEXT, max_size=2),
    ),
    st.builds(EndEntry, question=COUNT, answer=st.none() | TEXT, why=TEXT, seconds=NUMBER),
)  # fmt: skip
