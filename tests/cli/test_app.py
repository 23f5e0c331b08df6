"""The command line, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ets_client.cli.app import app

QUESTIONS = Path(__file__).parents[2] / "examples" / "questions.jsonl"
NOBODY = "http://127.0.0.1:9"  # the discard port: nothing listens there


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def test_profiles_lists_each_with_its_delimiter() -> None:
    status, out, _ = run("profiles")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == ["llama3", "llemma", "mistral", "smollm2", "tiny"]
    assert "'ки'" in out


def test_a_broken_profile_of_the_user_is_one_line_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "ets-client" / "profiles"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("name: mine\n")
    status, _, err = run("profiles")
    assert status == 1
    assert err.startswith("error: profile mine: prompt: ")
    assert len(err.splitlines()) == 1


def test_version_is_printed() -> None:
    assert run("--version") == (0, "0.1.0\n", "")


def test_a_missing_file_of_questions_is_one_line() -> None:
    status, _, err = run("search", "nowhere.jsonl", "--url", NOBODY)
    assert (status, err) == (1, "error: cannot read the questions nowhere.jsonl: No such file or directory\n")


def test_a_missing_endpoint_file_is_one_line() -> None:
    status, _, err = run("search", str(QUESTIONS), "--endpoint", "nowhere.json")
    assert status == 1
    assert err.startswith("error: no endpoint file at nowhere.json: is the server up?")


def test_an_option_out_of_range_is_a_usage_error() -> None:
    status, _, err = run("search", str(QUESTIONS), "--width", "0")
    assert status == 2
    assert "--width" in err


@pytest.mark.live
def test_a_search_on_the_real_server_prints_lines_a_table_and_writes_json(live_endpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "run.json"
    options = ("--endpoint", str(live_endpoint), "--first", "2", "--width", "4", "--depth", "2", "--out", str(out))
    status, text, err = run("search", str(QUESTIONS), *options)
    assert (status, err) == (0, "")
    assert "[1] level 2: " in text
    assert "stand in for a reward model" in " ".join(text.split())
    assert "The last row is the server's own count" in " ".join(text.split())
    written = json.loads(out.read_text())
    assert [entry["number"] for entry in written["questions"]] == [1, 2]
    sampled = sum(entry["samples"] for entry in written["questions"])
    assert 8 <= sampled <= 16
    assert written["server"]["prefilled_tokens"] <= 1.10 * written["least_prefilled_tokens"]
