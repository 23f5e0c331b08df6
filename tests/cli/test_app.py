"""The command line, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from ets_client.cli.app import app
from ets_client.testing import FaultPlan, ServerError

if TYPE_CHECKING:
    from ets_client.pytest_plugin import FakeServerFactory

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


def test_a_missing_file_of_questions_is_one_line() -> None:
    status, _, err = run("search", "nowhere.jsonl", "--url", NOBODY)
    assert (status, err) == (1, "error: cannot read the questions nowhere.jsonl: No such file or directory\n")


def test_a_missing_endpoint_file_is_one_line() -> None:
    status, _, err = run("search", str(QUESTIONS), "--endpoint", "nowhere.json")
    assert status == 1
    assert err.startswith("error: no endpoint file at nowhere.json: is the server up?")


@pytest.mark.parametrize(
    "options",
    [
        ("--width", "0"),
        ("--seconds", "-1"),
        ("--url", NOBODY, "--endpoint", "policy.json"),
        ("--out", "/nowhere/run.json"),
        ("--out", "."),
    ],
)
def test_a_bad_option_is_a_usage_error_before_anything_starts(options: tuple[str, ...]) -> None:
    status, out, err = run("search", str(QUESTIONS), *options)
    assert (status, out) == (2, "")
    assert options[-2] in err


def test_what_was_done_is_shown_and_written_when_the_server_is_lost(
    fake_sglang_factory: FakeServerFactory, tmp_path: Path
) -> None:
    server = fake_sglang_factory(faults=FaultPlan(seed=1).on(ServerError(), nth=range(5, 100)))
    out = tmp_path / "run.json"
    options = ("--url", server.base_url, "--profile", "tiny", "--width", "2", "--depth", "1", "--at-once", "1")
    status, text, err = run("search", str(QUESTIONS), *options, "--out", str(out))
    assert status == 1
    assert "questions ended with an error, the first with: " in err
    assert "[1] answer none: wrong" in text
    assert json.loads(out.read_text())["questions"]


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
