"""The tiny model on the real CPU engine: one server in the background, one in the foreground, and starts that fail."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest
from ets_client.endpoint import Endpoint

from ..command_line import COMMAND, ets_server

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.live

KEY = "sk-live-test"
START_SECONDS = 600  # the first start of all installs the engine


@dataclass
class Running:
    endpoint_file: Path
    shown: dict[str, Any]

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint.read(self.endpoint_file)


@pytest.fixture(scope="module")
def server(state: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "key").write_text(KEY)
    (folder / "key").chmod(0o600)
    arguments = ["--profile", "tiny", "--api-key-file", str(folder / "key"), "--endpoint-file", str(folder / "e.json")]
    result = ets_server("up", "live", *arguments, "--json", timeout=START_SECONDS)
    assert result.returncode == 0, result.stderr
    assert "warming up" in result.stderr
    yield Running(folder / "e.json", json.loads(result.stdout))
    ets_server("down", "--all")


def processes_of(leader: int) -> list[psutil.Process]:
    found = [process for process in psutil.process_iter() if _session(process.pid) == leader]
    return [process for process in found if process.status() != psutil.STATUS_ZOMBIE]


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def status() -> list[dict[str, Any]]:
    servers: list[dict[str, Any]] = json.loads(ets_server("status", "--json").stdout)
    return servers


def test_a_real_token_comes_with_the_key_and_not_without(server: Running) -> None:
    body = {"text": "1 + 1 =", "sampling_params": {"max_new_tokens": 4, "ignore_eos": True}}
    endpoint = server.endpoint
    assert endpoint.api_key is not None
    headers = {"Authorization": f"Bearer {endpoint.api_key.get_secret_value()}"}
    reply = httpx.post(f"{endpoint.base_url}/generate", json=body, headers=headers, timeout=60)
    assert reply.json()["meta_info"]["completion_tokens"] == 4
    assert httpx.post(f"{endpoint.base_url}/generate", json=body, timeout=60).status_code == 401


def test_the_vocabulary_is_the_profiles(server: Running) -> None:
    config = json.loads((Path(server.endpoint.model) / "config.json").read_text())
    assert (config["vocab_size"], config["eos_token_id"]) == (2048, 1)
    tokenizer = json.loads((Path(server.endpoint.model) / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    assert len(vocabulary) == 2048
    assert {"Ċ", "ĊĊ", "</s>"} <= set(vocabulary)  # a blank line is one token or two


def test_the_endpoint_file_is_whole_and_private(server: Running) -> None:
    endpoint = server.endpoint
    assert stat.S_IMODE(server.endpoint_file.stat().st_mode) == 0o600
    assert (endpoint.role, endpoint.profile, endpoint.keep_alive_seconds) == ("policy", "tiny", 60.0)
    assert server.shown["start_id"] == endpoint.start_id
    assert "api_key" not in server.shown


def test_the_key_is_on_no_command_line_and_in_no_log_shown(server: Running) -> None:
    running = status()[0]
    lines = [" ".join(process.cmdline()) for process in processes_of(running["pid"])]
    assert len(lines) >= 2
    assert not [line for line in lines if KEY in line]
    shown = ets_server("logs", "live").stdout
    assert "server_args=ServerArgs" in shown
    assert KEY not in shown
    assert stat.S_IMODE(Path(running["log_file"]).stat().st_mode) == 0o600
    assert len(ets_server("logs", "live", "-n", "3").stdout.splitlines()) == 3


def test_status_says_ready(server: Running) -> None:
    (running,) = status()
    assert (running["name"], running["state"], running["port"]) == ("live", "ready", server.endpoint.port)
    assert "live" in ets_server("status").stdout


def test_the_name_and_the_port_are_taken(server: Running) -> None:
    again = ets_server("up", "live", "--profile", "tiny")
    assert again.returncode == 1
    assert "`ets-server down live`" in again.stderr
    other = ets_server("up", "other", "--profile", "tiny", "--port", str(server.endpoint.port))
    assert other.returncode == 1
    assert "taken by the server 'live'" in other.stderr


def test_an_interrupted_start_leaves_nothing(server: Running) -> None:
    starting = subprocess.Popen([*COMMAND, "up", "second", "--profile", "tiny"], stderr=subprocess.PIPE, text=True)
    pid = wait_for(lambda: next((entry["pid"] for entry in status() if entry["name"] == "second"), None))
    starting.send_signal(signal.SIGINT)
    _, said = starting.communicate(timeout=30)
    assert starting.returncode == 130
    assert "interrupted; nothing of 'second' is left running" in said
    assert processes_of(pid) == []
    assert [entry["name"] for entry in status()] == ["live"]


def test_a_model_without_weights_is_named_as_the_cause(server: Running, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(server.endpoint.model, model)
    (model / "model.safetensors").unlink()
    result = ets_server("up", "broken", "--profile", "tiny", "--model", str(model))
    assert result.returncode == 1
    assert "last lines of the log" in result.stderr
    assert "'broken' did not start: the folder" in result.stderr.splitlines()[-1]
    assert "holds no weights" in result.stderr.splitlines()[-1]
    assert [entry["name"] for entry in status()] == ["live"]


def test_down_leaves_no_process_and_no_endpoint(server: Running) -> None:
    pid = status()[0]["pid"]
    result = ets_server("down", "live")
    assert result.returncode == 0
    assert "live is down" in result.stdout
    assert processes_of(pid) == []
    assert not server.endpoint_file.exists()
    assert status() == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{server.shown['port']}/health")


def test_run_stops_with_its_parent(tmp_path: Path) -> None:
    file = tmp_path / "e.json"
    arguments = [*COMMAND, "run", "front", "--profile", "tiny", "--endpoint-file", str(file), "--stop-with-parent"]
    script = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))"
    with (tmp_path / "out").open("w") as out:
        parent = subprocess.Popen([sys.executable, "-c", script, *arguments], stdout=out, stderr=out)
    try:
        wait_for(file.exists)
        pid = status()[0]["pid"]
        assert "The server is fired up" in (tmp_path / "out").read_text()
    finally:
        parent.kill()
        parent.wait()
    wait_for(lambda: not file.exists())
    wait_for(lambda: processes_of(pid) == [])
    assert status() == []


def wait_for(condition: Any, seconds: float = 100) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return value
