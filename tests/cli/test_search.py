"""`ets-client search`, as a user types it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from ets_client._engine import connect
from ets_client._engine.dispatcher import Dispatcher
from ets_client.cli.app import app
from ets_client.search import load_run
from ets_client.testing import Costs, FakeOptions, FaultPlan, SeededModel, ServerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ets_client.pytest_plugin import FakeServerFactory
    from ets_client.testing import FakeServer

QUESTIONS = Path(__file__).parents[2] / "examples" / "questions.jsonl"
NOBODY = "http://127.0.0.1:9"  # the discard port: nothing listens there


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def search(server: FakeServer, *arguments: str) -> tuple[int, str, str]:
    common = ("--policy", server.base_url, "--profile", "tiny", "--width", "4", "--depth", "2", "--first", "3")
    return run("search", str(QUESTIONS), *common, *arguments)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--width", "0"), "width = 0"),
        (("--seconds", "-1"), "seconds = -1"),
        (("--departure-interval", "48"), "departure_interval = 48"),
        (("--samples-at-once", "many"), "samples_at_once = 'many': a whole number above 0, 'adaptive' or 'none'"),
        (("--method", "magic"), "method = 'magic'"),
        (("--policy", NOBODY, "--endpoint", "policy.json"), "policy and endpoint are given"),
        (("--reward", NOBODY, "--reward-endpoint", "reward.json"), "reward and reward_endpoint are given"),
        (("--resume",), "--resume needs --out"),
        (("--params", "nowhere.toml"), "cannot read the parameters nowhere.toml"),
        (("--mend", "keep_clusters"), "write NAME=on or NAME=off"),
        (("--mend", "magic=on"), "no such mend: magic"),
        (("--mend", "keep_clusters=on"), "mend keep_clusters means nothing here"),
        (("--temperature", "-1"), "sampling.temperature = -1"),
    ],
)
def test_a_bad_option_is_a_usage_error_before_anything_starts(options: tuple[str, ...], said: str) -> None:
    status, out, err = run("search", str(QUESTIONS), *options)
    assert (status, out) == (2, "")
    assert said in " ".join(re.sub("[│╭╮╰╯─]", " ", err).split())


def test_expands_of_a_run_leave_together_when_asked_to(
    fake_sglang: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    class Seen(Dispatcher):
        def __init__(self, interval: float, running: Callable[[], int]) -> None:
            asked.append(interval)
            super().__init__(interval, running)

    monkeypatch.setattr(connect, "Dispatcher", Seen)
    status, _, err = search(fake_sglang, "--departure-interval", "0.005", "--barrier", "none")
    assert (status, err, asked) == (0, "", [0.005])


def test_a_run_is_kept_in_its_folder(fake_sglang: FakeServer, tmp_path: Path) -> None:
    out = tmp_path / "run"
    status, text, err = search(fake_sglang, "--out", str(out))
    assert (status, err) == (0, "")
    assert "REBASE at temperature 0.2, variant fixed" in text
    assert "stand in for a reward model" in " ".join(text.split())
    assert f"everything is in {out}" in "".join(text.split("\n"))
    assert re.search(rf"grade it: \S+ evaluate {out}; look at its trees: \S+ show {out}$", text.rstrip())
    assert [each["number"] for each in json.loads((out / "summary.json").read_text())["questions"]] == [1, 2, 3]
    loaded = load_run(out)
    assert loaded.manifest["method"]["name"] == "rebase"
    assert {question.why for question in loaded.questions.values()} <= {"done", "depth"}
    assert sum(len(question.nodes) for question in loaded.questions.values()) > 12


def test_a_folder_holds_one_run_and_another_search_does_not_go_on_with_it(
    fake_sglang: FakeServer, tmp_path: Path
) -> None:
    out = str(tmp_path / "run")
    assert search(fake_sglang, "--out", out)[0] == 0
    status, _, err = search(fake_sglang, "--out", out)
    assert status == 1
    assert "holds a run already: resume it (`--resume`)" in err
    assert "go on with: " in err
    status, _, err = search(fake_sglang, "--out", out, "--resume", "--width", "6")
    assert status == 1
    assert "search.width was 4, is 6" in err
    assert "go on with: " not in err  # the same command would say the same
    assert search(fake_sglang, "--out", out, "--resume", "--at-once", "2")[0] == 0


def test_the_command_to_go_on_with_can_be_typed_where_it_was_typed(
    fake_sglang: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "a folder" / "ets-client"
    tool.parent.mkdir()
    tool.touch(mode=0o755)
    out = str(tmp_path / "run")
    monkeypatch.setattr(sys, "argv", [str(tool), "search", "--out", out])
    monkeypatch.setenv("PATH", "")
    assert f"grade it: '{tool}' evaluate {out}" in search(fake_sglang, "--out", out)[1]
    assert f"go on with: '{tool}' search --out {out} --resume" in search(fake_sglang, "--out", out)[2]
    monkeypatch.setenv("PATH", str(tool.parent))
    assert f"go on with: ets-client search --out {out} --resume" in search(fake_sglang, "--out", out)[2]


def test_a_run_with_a_damaged_line_goes_on_from_before_it_when_told_to(fake_sglang: FakeServer, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert search(fake_sglang, "--out", str(out))[0] == 0
    journal = out / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:6], b"x" + lines[6], *lines[7:]]))
    status, _, err = search(fake_sglang, "--out", str(out), "--resume")
    assert status == 1
    assert "line 7 is damaged although good lines follow it. `--cut`" in err
    assert search(fake_sglang, "--out", str(out), "--resume", "--cut")[0] == 0
    assert len(load_run(out).questions) == 3


def test_what_failed_is_told_and_resumed(fake_sglang_factory: FakeServerFactory, tmp_path: Path) -> None:
    server = fake_sglang_factory(faults=FaultPlan(seed=1).on(ServerError(), nth=range(5, 9)))
    out = tmp_path / "run"
    status, text, err = search(server, "--out", str(out), "--at-once", "1")
    assert status == 1
    assert "ended with an error, the first with: " in err
    assert "--resume" in err
    assert "answer none: failed" in text
    failed = [number for number, question in load_run(out).questions.items() if question.why not in {"done", "depth"}]
    assert failed
    server.faults.clear()
    status, text, err = search(server, "--out", str(out), "--at-once", "1", "--resume")
    assert (status, err) == (0, "")
    assert [int(found) - 1 for found in re.findall(r"^\[(\d)\] answer", text, re.MULTILINE)] == failed
    assert "1 question was done in earlier sessions" in " ".join(text.split())
    assert [each["number"] for each in json.loads((out / "summary.json").read_text())["questions"]] == [1, 2, 3]
    assert {question.why for question in load_run(out).questions.values()} <= {"done", "depth"}


def test_a_server_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    status, _, err = run("search", str(QUESTIONS), "--policy", NOBODY, "--out", str(tmp_path / "run"))
    assert status == 1
    assert err.startswith("error: ")


@pytest.mark.parametrize("method", ["ets", "rebase", "beam", "dvts", "best-of-n", "mcts"])
@pytest.mark.parametrize("barrier", ["level", "none"])
def test_every_method_searches(fake_sglang: FakeServer, method: str, barrier: str) -> None:
    more = ("--lambda-s", "1.0") if method == "ets" else ()
    status, text, err = search(fake_sglang, "--method", method, "--barrier", barrier, *more)
    assert (status, err) == (0, "")
    assert len(re.findall(r"^\[\d\] answer", text, re.MULTILINE)) == 3


def test_a_reward_server_scores(fake_sglang_factory: FakeServerFactory, tmp_path: Path) -> None:
    policy = fake_sglang_factory(FakeOptions(), model=SeededModel(3, line_end=0.2))
    reward = fake_sglang_factory(FakeOptions(seed=9))
    out = tmp_path / "run"
    options = ("--reward", reward.base_url, "--reward-format", "plus-minus", "--out", str(out))
    status, text, err = search(policy, *options)
    assert (status, err) == (0, "")
    assert "scores by fake-model, format plus-minus" in text
    run = load_run(out)
    assert run.manifest["scorer"]["format"]["name"] == "plus-minus"
    scores = [node.score for question in run.questions.values() for node in question.nodes.values() if node.parent]
    assert all(score is not None and 0 < score < 1 for score in scores)
    assert json.loads((out / "summary.json").read_text())["reward_server"]["prefilled_tokens"] > 0


def test_a_reward_model_that_nobody_can_read_is_refused(fake_sglang: FakeServer) -> None:
    status, _, err = search(fake_sglang, "--reward", fake_sglang.base_url)
    assert status == 1
    assert "names no reward model" in err


@pytest.mark.parametrize(
    ("number", "status", "said"), [(signal.SIGINT, 130, "stopped"), (signal.SIGTERM, 143, "told to stop")]
)
def test_a_signal_leaves_nothing_running_and_a_run_to_go_on_with(
    fake_sglang_factory: FakeServerFactory, tmp_path: Path, number: signal.Signals, status: int, said: str
) -> None:
    server = fake_sglang_factory(costs=Costs(decode_step=0.01))
    out = tmp_path / "run"
    command = [sys.executable, "-c", "from ets_client.cli import main; main()", "search", str(QUESTIONS), "--plain"]
    command += ["--policy", server.base_url, "--profile", "tiny", "--width", "2", "--depth", "3", "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
    assert process.stdout is not None
    for line in process.stdout:
        if "answer" in line:
            break
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == status
    assert f"{said}; nothing is left running on the server" in err
    assert "go on with: " in err
    assert err.rstrip().endswith("--resume")
    found = load_run(out)
    assert 0 < len(found.questions) < 20
    done = [number for number, question in found.questions.items() if question.why in {"depth", "done"}]
    assert done
    again = subprocess.run([*command, "--resume"], capture_output=True, text=True, timeout=120, check=True)
    assert len(load_run(out).questions) == 20
    assert len(re.findall(r"^\[\d+\] answer", again.stdout, re.MULTILINE)) == 20 - len(done)


@pytest.mark.live
def test_a_search_on_the_real_server_prints_lines_a_table_and_writes_json(live_endpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = ("--endpoint", str(live_endpoint), "--first", "2", "--width", "4", "--depth", "2", "--out", str(out))
    status, text, err = run("search", str(QUESTIONS), *options)
    assert (status, err) == (0, "")
    assert "[1] level 2: " in text
    assert "stand in for a reward model" in " ".join(text.split())
    assert "The last row is the server's own count" in " ".join(text.split())
    written = json.loads((out / "summary.json").read_text())
    assert [entry["number"] for entry in written["questions"]] == [1, 2]
    sampled = sum(entry["samples"] for entry in written["questions"])
    assert 8 <= sampled <= 16
    assert written["server"]["prefilled_tokens"] <= 1.10 * written["least_prefilled_tokens"]


@pytest.mark.live
def test_a_real_reward_server_scores_and_the_run_is_resumed(live_endpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    servers = ("--endpoint", str(live_endpoint), "--reward-endpoint", str(live_endpoint))
    how = ("--reward-format", "plus-minus", "--method", "ets", "--lambda-s", "1.0", "--width", "4", "--depth", "2")
    options = (*servers, *how, "--out", str(out))
    status, text, err = run("search", str(QUESTIONS), *options, "--first", "2", "--seconds", "0")
    assert (status, err) == (0, "")
    assert "2 more questions did not fit into the time." in " ".join(text.split())
    status, text, err = run("search", str(QUESTIONS), *options, "--first", "2", "--resume")
    assert (status, err) == (0, "")
    assert "ETS with lambda_c 1, lambda_s 1" in text
    nodes = [node for question in load_run(out).questions.values() for node in question.nodes.values() if node.parent]
    assert all(node.score is not None and 0 < node.score < 1 for node in nodes)
    assert 8 <= sum(node.multiplicity for node in nodes) <= 16
