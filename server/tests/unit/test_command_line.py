from __future__ import annotations

import json
import os
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from ..command_line import COMMAND, ets_server

if TYPE_CHECKING:
    from pathlib import Path


VERSIONS: tuple[tuple[str, ...], ...] = ((), ("--sglang", "0.5.18"), ("--sglang", "0.5.23"))


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STATE", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def test_command_prints_the_plan_and_runs_nothing(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("sk-very-secret\n")
    key.chmod(0o600)
    result = ets_server("command", "--profile", "tiny", "--api-key-file", str(key), "--", "--max-queued-requests", "8")
    assert result.returncode == 0, result.stderr
    assert "export SGLANG_TIMEOUT_KEEP_ALIVE=60" in result.stdout
    assert "--config" in result.stdout
    assert result.stdout.rstrip().endswith("--max-queued-requests 8")
    assert "sk-very-secret" not in result.stdout + result.stderr
    assert not (tmp_path / "CACHE").exists()
    assert not (tmp_path / "STATE").exists()


def test_a_key_that_others_can_read_is_pointed_out(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("k")
    key.chmod(0o644)
    assert "chmod 600" in ets_server("command", "--profile", "tiny", "--api-key-file", str(key)).stderr
    key.write_text("two words")
    assert "must hold one key" in ets_server("command", "--profile", "tiny", "--api-key-file", str(key)).stderr
    assert "cannot read --api-key-file" in ets_server("command", "--api-key-file", str(tmp_path / "none")).stderr


def test_version_is_printed() -> None:
    result = ets_server("--version")
    assert (result.returncode, result.stdout) == (0, "0.1.0\n")


def test_one_core_is_told_as_one() -> None:
    core = str(min(os.sched_getaffinity(0)))
    result = subprocess.run(
        ["taskset", "-c", core, *COMMAND, "command", "--profile", "tiny"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "serving on the CPU with 1 core\n" in result.stderr


def test_profiles_lists_them() -> None:
    assert "smollm2" in ets_server("profiles").stdout
    names = [profile["name"] for profile in json.loads(ets_server("profiles", "--json").stdout)]
    assert {"smollm2", "tiny", "llama3"} <= set(names)


def test_status_of_nothing() -> None:
    assert "no server was started here" in ets_server("status").stdout
    assert json.loads(ets_server("status", "--json").stdout) == []
    assert ets_server("down", "--all").stdout == "nothing runs here\n"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["up", "--no-such-option"], 2, "no-such-option"),
        (["down"], 2, "the NAME of a server, or --all"),
        (["fetch", "x/y", "--role", "critic"], 2, "neither policy nor reward"),
        (["down", "nobody"], 1, "ets-server: there is no server 'nobody' here"),
        (["logs", "nobody"], 1, "ets-server: there is no server 'nobody' here"),
        (["up", "--profile", "nothing"], 1, "ets-server: there is no profile 'nothing'"),
        (["up", "--profile", "tiny", "--model", "/no/such/folder"], 1, "folder /no/such/folder does not exist"),
        (["up", "--profile", "tiny", "--python", "/no/python"], 1, "--python /no/python is no file"),
        (["up", "--profile", "tiny", "--launcher", "/no/launcher"], 1, "made with the engine's Python"),
        (["up", "--profile", "tiny", "--sglang", "0.5.23", "--python", "/p"], 2, "ets-server: --sglang says"),
        (["command", "--sglang", "0.5.23", "--launcher", "l"], 2, "ets-server: --sglang says"),
        (["up", "--profile", "tiny", "--sglang", "0.5.19"], 1, "installs: 0.5.18, 0.5.23"),
        (["run", "--sglang", "0.5.19"], 1, "installs: 0.5.18, 0.5.23"),
        (["fetch", "x/y", "--sglang", "0.5.19"], 1, "installs: 0.5.18, 0.5.23"),
        (["fetch", "nothing"], 1, "a model on the hub is named owner/name"),
    ],
)
def test_what_is_wrong_is_one_line_and_a_status(arguments: list[str], status: int, said: str) -> None:
    result = ets_server(*arguments)
    assert result.returncode == status
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    if status == 1:
        assert result.stderr.splitlines()[-1].startswith("ets-server: ")


def test_a_port_that_is_taken_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        result = ets_server("up", "--profile", "tiny", "--port", port)
    assert result.returncode == 1
    assert f"port {port} on 127.0.0.1 is taken" in result.stderr
    assert not (tmp_path / "CACHE").exists()


def test_a_launcher_that_cannot_run_is_named(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    result = ets_server("up", "--model", str(model), "--launcher", "/no/launcher")
    assert result.returncode == 1
    assert "cannot run /no/launcher" in result.stderr
    assert json.loads(ets_server("status", "--json").stdout) == []


def test_the_version_of_sglang_chooses_the_engine() -> None:
    shown = {version: ets_server("command", "--profile", "tiny", *version).stdout for version in VERSIONS}
    assert all("launch_cpu.py" in text for text in shown.values())
    assert shown[()] == shown["--sglang", "0.5.18"]
    (ours,) = {line.split()[0] for line in shown[()].splitlines() if "launch_cpu.py" in line}
    assert ours not in shown["--sglang", "0.5.23"]


def test_preflight_of_an_unknown_version_fails_with_those_that_are_known() -> None:
    result = ets_server("preflight", "--profile", "tiny", "--sglang", "0.5.19")
    assert result.returncode == 1
    assert "installs: 0.5.18, 0.5.23" in result.stdout.splitlines()[0]


def test_preflight_tells_each_finding_on_a_line() -> None:
    result = ets_server("preflight", "--profile", "tiny")
    assert {line.split()[0] for line in result.stdout.splitlines()} <= {"ok", "warn", "fail"}
    assert "CPU engine serves" in result.stdout
    assert "first start installs it" in result.stdout
