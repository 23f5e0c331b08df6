"""Starting and stopping, with a program that stands for SGLang: quick, and it fails when told to."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from ets_client.endpoint import Endpoint

from ..command_line import COMMAND, ets_server

FAKE = shlex.join([sys.executable, str(Path(__file__).parents[1] / "fake_sglang.py")])


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STATE", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.fixture
def launch(tmp_path: Path) -> list[str]:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    return ["--model", str(model), "--launcher", FAKE]


def status() -> list[dict[str, Any]]:
    servers: list[dict[str, Any]] = json.loads(ets_server("status", "--json").stdout)
    return servers


def fakes() -> list[int]:
    mine = str(Path(__file__).parents[1] / "fake_sglang.py")
    found: list[int] = []
    for process in psutil.process_iter():
        try:
            if (
                mine in process.cmdline()
                and process.ppid() != os.getpid()
                and "ets_server" not in str(process.cmdline())
            ):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def wait_for(condition: Any) -> Any:
    deadline = time.monotonic() + 30
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value


def test_up_status_down(launch: list[str], tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("sk-1")
    key.chmod(0o600)
    file = tmp_path / "there" / "e.json"
    result = ets_server("up", *launch, "--api-key-file", str(key), "--endpoint-file", str(file), "--role", "reward")
    assert result.returncode == 0, result.stderr
    assert "reward is ready at http://127.0.0.1:" in result.stdout
    endpoint = Endpoint.read(file)
    assert endpoint.api_key is not None
    assert (endpoint.role, endpoint.api_key.get_secret_value()) == ("reward", "sk-1")
    (running,) = status()
    assert (running["state"], running["role"]) == ("ready", "reward")
    assert "sk-1" not in ets_server("logs", "reward").stdout
    assert "reward is down" in ets_server("down", "reward").stdout
    assert not file.exists()
    assert fakes() == []
    assert "is not running" in ets_server("down", "reward").stderr


def test_two_servers_get_two_ports_and_down_all_ends_both(launch: list[str]) -> None:
    ports = {json.loads(ets_server("up", name, *launch, "--json").stdout)["port"] for name in ("one", "two")}
    assert len(ports) == 2
    assert len(ets_server("down", "--all").stdout.splitlines()) == 2
    assert fakes() == []


def test_a_stranger_on_the_chosen_port_is_not_taken_for_ours(launch: list[str], tmp_path: Path) -> None:
    stranger = ("--", "--stranger-once", str(tmp_path / "seen"))
    result = ets_server("up", *launch, "--port", "39471", *stranger)
    assert result.returncode == 1
    assert "port 39471 was taken by another server" in result.stderr.splitlines()[-1]
    assert status() == []
    assert fakes() == []


def test_with_an_automatic_port_the_next_one_is_tried(launch: list[str], tmp_path: Path) -> None:
    result = ets_server("up", *launch, "--", "--stranger-once", str(tmp_path / "seen"))
    assert result.returncode == 0, result.stderr
    assert "trying the next free one" in result.stdout + result.stderr
    assert "policy is ready" in result.stdout
    assert "policy is down" in ets_server("down", "policy").stdout


def test_a_server_that_ignores_sigterm_is_killed(launch: list[str]) -> None:
    assert ets_server("up", *launch, "--", "--ignore-sigterm").returncode == 0
    assert "policy is down" in ets_server("down", "policy", "--stop-timeout", "0.3").stdout
    assert fakes() == []


def test_a_start_that_fails_names_the_cause_and_shows_the_log(launch: list[str]) -> None:
    result = ets_server("up", *launch, "--", "--fail-with", "torch.OutOfMemoryError: CUDA out of memory.")
    assert result.returncode == 1
    assert "  torch.OutOfMemoryError: CUDA out of memory." in result.stderr.splitlines()
    assert "GPU memory does not suffice" in result.stderr.splitlines()[-1]
    assert status() == []


def test_an_unknown_cause_gives_the_status_and_the_phase(launch: list[str]) -> None:
    result = ets_server("up", *launch, "--", "--fail-with", "Load weight begin")
    assert "it ended with status 3 while loading weights" in result.stderr.splitlines()[-1]


def test_a_port_lost_while_starting_ends_the_wait(launch: list[str]) -> None:
    said = "ERROR:    [Errno 98] error while attempting to bind on address ('127.0.0.1', 1): address already in use"
    result = ets_server("up", *launch, "--", "--hang-with", said, timeout=30)
    assert result.returncode == 1
    assert "was taken by another program" in result.stderr.splitlines()[-1]
    assert fakes() == []


def test_the_wait_is_bounded(launch: list[str]) -> None:
    result = ets_server("up", *launch, "--ready-timeout", "1", "--", "--hang-with", "Load weight begin")
    assert result.returncode == 1
    assert "no token came within 1 s, it was loading weights; raise --ready-timeout" in result.stderr
    assert fakes() == []
    assert status() == []


def test_run_passes_the_output_on_and_stops_on_sigterm(launch: list[str], tmp_path: Path) -> None:
    file = tmp_path / "e.json"
    running = subprocess.Popen(
        [*COMMAND, "run", "front", *launch, "--endpoint-file", str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    wait_for(file.exists)
    running.send_signal(signal.SIGTERM)
    output, said = running.communicate(timeout=30)
    assert running.returncode == 0
    assert b"Uvicorn running on" in output
    assert b"front is ready at" in said
    assert not file.exists()
    assert fakes() == []


def test_run_ends_with_the_servers_status(launch: list[str]) -> None:
    result = ets_server("run", *launch, "--", "--end-after", "0.5", timeout=30)
    assert result.returncode == 7
    assert fakes() == []
    assert status() == []


def test_a_server_does_not_outlive_a_run_that_was_killed(launch: list[str]) -> None:
    running = subprocess.Popen(
        [*COMMAND, "run", "front", *launch], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: [entry for entry in status() if entry["state"] == "ready"])
    running.kill()
    running.wait()
    wait_for(lambda: fakes() == [])
    assert [entry["state"] for entry in status()] == ["gone"]
    assert "front is down" in ets_server("down", "front").stdout  # a worker was left
    assert "is not running" in ets_server("down", "front").stderr


def test_a_crashed_server_is_replaced(launch: list[str]) -> None:
    assert ets_server("up", *launch).returncode == 0
    os.kill(status()[0]["pid"], signal.SIGKILL)
    wait_for(lambda: status()[0]["state"] == "gone")
    assert ets_server("up", *launch).returncode == 0
    assert status()[0]["state"] == "ready"
    ets_server("down", "policy")
    assert fakes() == []
