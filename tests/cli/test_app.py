"""The command line, as a user types it."""

from __future__ import annotations

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


@pytest.mark.parametrize(
    ("content", "said"), [("name: mine\n", "mine.yaml: prompt: "), ("prompt: [", "mine.yaml is not YAML")]
)
def test_a_broken_profile_of_the_user_is_left_out_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, content: str, said: str
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "ets-client" / "profiles"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(content)
    status, out, _ = run("profiles")
    assert status == 0
    assert "mine" not in out
    assert said in caplog.text


def test_version_is_printed() -> None:
    assert run("--version") == (0, "0.1.0\n", "")


def test_the_help_of_a_command_has_its_docstring_in_the_terminals_own_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    status, out, _ = run("search", "--help")
    assert status == 0
    assert "After Ctrl-C, or when a server is lost, the questions that were done are shown" in out
    for panel in ("Servers and scores", "Method", "Sampling", "How much, how long", "Files and screen"):
        assert f"─ {panel} ─" in out


def test_a_missing_file_of_questions_is_one_line() -> None:
    status, _, err = run("search", "nowhere.jsonl", "--url", NOBODY)
    assert (status, err) == (1, "error: cannot read the questions nowhere.jsonl: No such file or directory\n")


def test_a_missing_endpoint_file_is_one_line() -> None:
    status, _, err = run("search", str(QUESTIONS), "--endpoint", "nowhere.json")
    assert status == 1
    assert err.startswith("error: no endpoint file at nowhere.json: is the server up?")
