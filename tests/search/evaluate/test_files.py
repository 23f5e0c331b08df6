"""CSV files, figures, and ETS's own form."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import pytest

from ets_client import ConfigurationError
from ets_client.search.evaluate import Evaluation, evaluate_run, export_answers, plot_evaluations, write_tables
from ets_client.search.loaded import LoadedRun
from ets_client.search.methods import NodeState

from ..made_runs import MANIFEST, by_hand, made_node, made_run, manifest_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def evaluations() -> list[Evaluation]:
    return [
        evaluate_run(made_run(4, width=width, manifest=manifest_of(method, width)), f"{method} {width}", resamples=50)
        for method in ("rebase", "ets")
        for width in (4, 8)
    ]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_tables_hold_every_rule_every_question_and_the_means(evaluations: list[Evaluation], tmp_path: Path) -> None:
    accuracy, costs, questions = write_tables(evaluations, tmp_path / "new")
    assert len(rows(accuracy)) == sum(len(each.accuracies) for each in evaluations)
    first = rows(accuracy)[0]
    assert (first["run"], first["vote"], first["answers"]) == ("rebase 4", "vote", "1")
    assert float(first["accuracy"]) == evaluations[0].accuracies[0].share.value
    assert [row["run"] for row in rows(costs)] == ["rebase 4", "rebase 8", "ets 4", "ets 8"]
    assert float(rows(costs)[1]["mean_kv"]) == pytest.approx(evaluations[1].mean_costs()["mean_kv"])
    assert len(rows(questions)) == 16
    assert {"weighted last", "published_kv", "is_right", "problem"} <= set(rows(questions)[0])


@pytest.mark.parametrize(("name", "begin"), [("a.pdf", b"%PDF"), ("a.png", b"\x89PNG"), ("a.svg", b"<?xml")])
def test_a_figure_is_drawn(evaluations: list[Evaluation], tmp_path: Path, name: str, begin: bytes) -> None:
    plot_evaluations(evaluations, tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(begin)


def test_a_figure_of_nothing_to_grade_is_drawn_too(tmp_path: Path) -> None:
    plot_evaluations([evaluate_run(made_run(2, expected=None), "ungraded")], tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_runs_without_any_answer_are_drawn(tmp_path: Path) -> None:
    without = [made_run(0, manifest=manifest_of(method, 4)) for method in ("rebase", "ets")]
    plot_evaluations([evaluate_run(each, resamples=50) for each in without], tmp_path / "a.pdf")
    assert (tmp_path / "a.pdf").stat().st_size > 0


def test_a_figure_needs_an_ending_that_matplotlib_writes(evaluations: list[Evaluation], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"a\.docx: matplotlib writes no docx: use \.pdf or \.png"):
        plot_evaluations(evaluations, tmp_path / "a.docx")


def test_the_export_is_what_ets_writes(tmp_path: Path) -> None:
    nodes = [
        made_node("r", text="1 + 1?\n"),
        made_node("r.0", text="One and one.", full_text="One and one. ки\n", score=0.7),
        made_node("r.0.0", text="The answer is: 2", full_text="The answer is: 2 ки", answer="2", multiplicity=2,
                  state=NodeState.ENDED, score=0.9),
        made_node("r.1", text="So", state=NodeState.ENDED, score=None),
        made_node("r.2", text="On"),
    ]  # fmt: skip
    run = LoadedRun(MANIFEST, {4: by_hand(nodes, number=4), 5: by_hand(nodes, number=5, why=None)}, 0)
    export_answers(run, tmp_path / "answers.json")
    path = {"text": "1 + 1?\nOne and one. ки\nThe answer is: 2 ки", "step_scores": [0.7, 0.9]}
    assert json.loads((tmp_path / "answers.json").read_text(encoding="utf-8")) == [
        {
            "id": 4,
            "question": "1 + 1?",
            "model_answer": [path, path, {"text": "1 + 1?\nSo\n", "step_scores": [None]}],
            "ground_truth_answer": "2",
            "total_tokens": 50,
        }
    ]


def test_the_export_of_an_empty_run_is_an_empty_list(tmp_path: Path) -> None:
    export_answers(LoadedRun(MANIFEST, {}, 0), tmp_path / "answers.json")
    assert json.loads((tmp_path / "answers.json").read_text(encoding="utf-8")) == []
