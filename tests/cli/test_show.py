"""`ets-client show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typer.testing import CliRunner

from ets_client.cli.app import app
from tests.search.made_runs import write_run

if TYPE_CHECKING:
    from pathlib import Path

runner = CliRunner()


def test_the_pages_are_in_the_runs_folder(tmp_path: Path) -> None:
    run = write_run(tmp_path / "my-run", 2, unfinished=1)
    result = runner.invoke(app, ["show", str(run)])
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (run / "pages").iterdir()) == [
        "index.html", "question-0001.html", "question-0002.html",
    ]  # fmt: skip
    index = (run / "pages" / "index.html").read_text(encoding="utf-8")
    assert "<title>my-run</title>" in index
    assert "unfinished" in index


def test_the_pages_can_be_elsewhere(tmp_path: Path) -> None:
    run = write_run(tmp_path / "my-run", 1)
    assert runner.invoke(app, ["show", str(run), "--out", str(tmp_path / "there")]).exit_code == 0
    assert (tmp_path / "there" / "index.html").exists()


def test_a_place_that_cannot_be_written_and_a_file_for_a_run_are_told(tmp_path: Path) -> None:
    run = write_run(tmp_path / "my-run", 1)
    file = tmp_path / "file"
    file.touch()
    result = runner.invoke(app, ["show", str(run), "--out", str(file)])
    assert (result.exit_code, result.stderr) == (1, f"error: cannot write {file}: File exists\n")
    result = runner.invoke(app, ["show", str(file)])
    assert result.exit_code == 1
    assert result.stderr.endswith("Not a directory; a file is in the place of a folder: give the folder of the run\n")


def test_a_damaged_journal_is_shown_up_to_there_when_asked(tmp_path: Path) -> None:
    run = write_run(tmp_path / "my-run", 2)
    lines = (run / "journal.jsonl").read_bytes().splitlines(keepends=True)
    lines[-3] = lines[-3].replace(b'"', b"'", 1)
    (run / "journal.jsonl").write_bytes(b"".join(lines))
    result = runner.invoke(app, ["show", str(run)])
    assert result.exit_code == 1
    assert "journal.jsonl" in result.stderr
    assert runner.invoke(app, ["show", str(run), "--cut"]).exit_code == 0
