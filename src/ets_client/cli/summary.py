"""`summary.json` in a run's folder: what each question came to, those of earlier sessions too."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..prefix import Origin, Prefix
from ..search import is_same_answer, least_prefill, load_run
from .report import as_json

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ..search import LoadedQuestion, RunResult

__all__ = ["write_summary"]


def write_summary(folder: Path, run: RunResult, *, adds: bool) -> None:
    """Write it, whole or not at all.

    Args:
        folder: of the run.
        run: what this session found.
        adds: whether the run went on: questions of earlier sessions stay. What a killed session did not come to write
            is taken from the journal.

    Raises:
        OSError: it cannot be written.
        JournalError: the journal cannot be read.
    """
    path = folder / "summary.json"
    written = as_json(run)
    if adds:
        known = {entry["number"]: entry for entry in [*_read(path), *written["questions"]]}
        lacking = [number for number in run.ended_before if number + 1 not in known]
        if lacking:
            questions = load_run(folder).questions
            known.update((entry["number"], entry) for entry in _recorded(questions[number] for number in lacking))
        written["questions"] = [known[number] for number in sorted(known)]
    part = path.with_name(".summary.json.part")
    try:
        part.write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _read(path: Path) -> list[dict[str, Any]]:
    """The questions of the summary that is there; none when it is damaged, since the journal has them."""
    try:
        return [{**entry, "number": int(entry["number"])} for entry in json.loads(path.read_bytes())["questions"]]
    except (OSError, ValueError, LookupError, TypeError):
        return []


def _recorded(questions: Iterable[LoadedQuestion]) -> Iterable[dict[str, Any]]:
    """Questions of earlier sessions, as :func:`as_json` has those of this one."""
    roots: list[Prefix] = []
    for question in questions:
        node = question.nodes["r"]
        root = Prefix(node.token_ids, node.text, origin=Origin(""))
        asked = [count for decision in question.decisions for count in decision.children.values()]
        usage, answer, expected = question.usage, question.answer, question.expected
        yield {
            "number": question.number + 1,
            "problem": question.problem,
            "expected": expected,
            "answer": answer,
            "is_correct": None if expected is None else answer is not None and is_same_answer(answer, expected),
            "is_complete": question.why in {"done", "depth"},
            "why": question.why,
            "expands": len(asked),
            "samples": sum(asked),
            "lost": sum(asked) - sum(each.multiplicity for each in question.nodes.values() if each is not node),
            "prompt_tokens": usage.prompt_tokens,
            "cached_tokens": usage.cached_tokens,
            "generated_tokens": usage.completion_tokens,
            "least_prefilled_tokens": least_prefill(root, roots, sum(asked)),
            "seconds": question.seconds,
        }
        roots.append(root)
