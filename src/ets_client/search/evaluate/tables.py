"""An evaluation as rows, for CSV files."""

from __future__ import annotations

import csv
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from .evaluation import Evaluation

__all__ = ["write_tables"]

_Row = dict[str, object]


def write_tables(evaluations: Sequence[Evaluation], folder: str | os.PathLike[str]) -> list[Path]:
    """Write ``accuracy.csv``, ``costs.csv`` and ``questions.csv``: rules, means of each run, and every question.

    Args:
        evaluations: one a run.
        folder: where to; it is made.

    Returns:
        The files.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    tables = {"accuracy.csv": _accuracies, "costs.csv": _costs, "questions.csv": _questions}
    return [
        _write(Path(folder, name), [row for each in evaluations for row in of(each)]) for name, of in tables.items()
    ]


def _accuracies(evaluation: Evaluation) -> Iterator[_Row]:
    for each in evaluation.accuracies:
        yield {
            "run": evaluation.name, "grader": each.grader, "vote": each.rule.vote,
            "aggregation": each.rule.aggregation or "", "answers": each.answers or "all", "accuracy": each.share.value,
            "low": each.share.low, "high": each.share.high, "questions_with_so_many": each.questions,
            "questions": evaluation.graded,
        }  # fmt: skip


def _costs(evaluation: Evaluation) -> Iterator[_Row]:
    yield {
        "run": evaluation.name, "questions": len(evaluation.questions), "unfinished": evaluation.unfinished,
        "accuracy_recorded": evaluation.recorded.value, **evaluation.mean_costs(),
    }  # fmt: skip


def _questions(evaluation: Evaluation) -> Iterator[_Row]:
    for each in evaluation.questions:
        yield {
            "run": evaluation.name, "question": each.number + 1, "problem": each.problem,
            "expected": each.expected or "", "answer": each.answer or "",
            "is_right": "" if each.is_right is None else int(each.is_right), "answers": each.answers,
            "classes": len(each.classes), **asdict(each.costs),
            **{str(rule): share for rule, share in each.right.items()},
        }  # fmt: skip


def _write(path: Path, rows: list[_Row]) -> Path:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path
