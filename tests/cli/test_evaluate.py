"""`ets-client evaluate`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from ets_client.cli.app import app
from tests.search.made_runs import manifest_of, write_run

if TYPE_CHECKING:
    from pathlib import Path

runner = CliRunner(env={"COLUMNS": "160"})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "rebase-8", 5, unfinished=1)


def test_a_run_is_graded_in_all_ways(run: Path) -> None:
    result = runner.invoke(app, ["evaluate", str(run), "--resamples", "50"])
    assert result.exit_code == 0, result.output
    for said in (
        "rebase-8", "as the run voted", "weighted vote, prod", "best path, min", "right one is there", "n = 1",
        "as the published evaluator", "resident KV, peak", "KV as ETS counts it",
        "rebase-8: 4 graded questions, 1 not ended and left out",
    ):  # fmt: skip
        assert said in result.output
    assert "Gain" not in result.output


def test_runs_stand_side_by_side_under_names_that_tell_them_apart(run: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "width-16" / "rebase-8", 4, width=16, manifest=manifest_of(width=16))
    result = runner.invoke(app, ["evaluate", str(run), str(other), "--resamples", "50"])
    assert result.exit_code == 0, result.output
    assert "width-16/rebase-8" in result.output
    assert "Gain over" in result.output


def test_files_are_written(run: Path, tmp_path: Path) -> None:
    plot, answers = tmp_path / "plot.pdf", tmp_path / "answers.json"
    result = runner.invoke(
        app, ["evaluate", str(run), "--csv", str(tmp_path / "csv"), "--plot", str(plot), "--answers", str(answers)]
    )
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "csv").iterdir()) == ["accuracy.csv", "costs.csv", "questions.csv"]
    assert plot.read_bytes().startswith(b"%PDF")
    assert len(json.loads(answers.read_text(encoding="utf-8"))) == 4
    assert result.output.count("written to") == 5


def test_the_export_is_of_one_run(run: Path, tmp_path: Path) -> None:
    result = runner.invoke(app, ["evaluate", str(run), str(run), "--answers", str(tmp_path / "a.json")])
    assert result.exit_code == 2
    assert "of one run" in result.output


@pytest.mark.parametrize("arguments", [["evaluate", "nowhere"], ["show", "nowhere"]])
def test_a_folder_without_a_run_is_an_error_that_says_so(arguments: list[str]) -> None:
    result = runner.invoke(app, arguments)
    assert result.exit_code == 1
    assert "nowhere" in result.stderr
    assert "Traceback" not in result.output


def test_a_plot_that_cannot_be_drawn_is_an_error(run: Path, tmp_path: Path) -> None:
    result = runner.invoke(app, ["evaluate", str(run), "--resamples", "9", "--plot", str(tmp_path / "plot.docx")])
    assert result.exit_code == 1
    assert "use .pdf or .png" in result.stderr
