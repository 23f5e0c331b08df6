from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from ets_client.endpoint import Endpoint

from ets_server import processes
from ets_server.control import find_folder, list_servers, stop_all, stop_server
from ets_server.errors import ServerToolError
from ets_server.machine import Machine
from ets_server.processes import identify, is_alive, spawn, stop_group
from ets_server.records import ProcessIdentity, ServerRecord, held_gpus, is_same_process
from ets_server.store import ServerFolder, lock, machine_dir, write_private

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HERE = Machine("here", None, 2)


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def record(name: str = "policy", *, pid: int = 1, created: float = 0.0, host: str = "here") -> ServerRecord:
    return ServerRecord(
        name=name,
        host=host,
        job=None,
        state="ready",
        pid=pid,
        created=created,
        start_id=f"start-{name}",
        address="127.0.0.1",
        port=1,
        role="policy",
        model="/m",
        profile="tiny",
        engine="cpu",
        gpu_uuids=("GPU-1",),
    )


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_a_process_is_its_id_and_its_birth() -> None:
    remembered = ProcessIdentity(7, 100.0)
    assert is_same_process(remembered, ProcessIdentity(7, 100.4))
    assert not is_same_process(remembered, ProcessIdentity(7, 160.0))
    assert not is_same_process(remembered, ProcessIdentity(8, 100.0))


def test_gpus_are_held_by_the_living() -> None:
    assert held_gpus([record()]) == {"GPU-1": "policy"}
    assert held_gpus([]) == {}


def test_a_stale_record_never_kills_a_stranger(stranger: subprocess.Popen[bytes]) -> None:
    folder = ServerFolder(machine_dir("here") / "policy")
    folder.create()
    folder.write(record(pid=stranger.pid, created=time.time() - 3600))
    assert list_servers(HERE)[0].state == "gone"
    assert "not running any more" in stop_server("policy", HERE, 1.0)
    assert stranger.poll() is None
    assert folder.read() is None


def test_down_ends_the_whole_session_and_nothing_else(tmp_path: Path, stranger: subprocess.Popen[bytes]) -> None:
    script = (
        "import signal, subprocess, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); time.sleep(60)"
    )
    process = spawn([sys.executable, "-c", script], os.environ, tmp_path / "log")
    while not (text := (tmp_path / "log").read_text()).strip():
        time.sleep(0.05)
    child = identify(int(text))
    leader = identify(process.pid)
    assert child is not None
    assert leader is not None
    folder = ServerFolder(machine_dir("here") / "policy")
    folder.write(record(pid=leader.pid, created=leader.created))
    began = time.monotonic()
    assert "policy is down" in stop_server("policy", HERE, 0.5)
    assert time.monotonic() - began < 5
    assert process.wait() == -9
    assert not is_alive(child)
    assert stranger.poll() is None


def test_workers_are_found_after_their_leader_died(tmp_path: Path) -> None:
    script = "import subprocess; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True)"
    process = spawn([sys.executable, "-c", script], os.environ, tmp_path / "log")
    leader = identify(process.pid)
    assert leader is not None
    process.wait()
    child = identify(int((tmp_path / "log").read_text()))
    assert child is not None
    assert stop_group(leader, 1.0)
    assert not is_alive(child)
    assert not stop_group(leader, 1.0)


def test_what_is_killed_and_does_not_end_is_told_and_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = spawn(["sleep", "60"], os.environ, tmp_path / "log")
    leader = identify(process.pid)
    assert leader is not None
    folder = ServerFolder(machine_dir("here") / "policy")
    folder.write(record(pid=leader.pid, created=leader.created))
    with monkeypatch.context() as patched:
        patched.setattr(processes, "_KILLED_SECONDS", 0.2)
        patched.setattr(processes, "_signal", lambda *_: None)  # as for one that waits for a dead disk
        with pytest.raises(ServerToolError, match=f"killed, but still there: {leader.pid}. .* in state D"):
            stop_server("policy", HERE, 0.1)
    assert "policy is down" in stop_server("policy", HERE, 0.0)
    assert process.wait() == -9


def test_the_log_is_for_its_owner_alone(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch(mode=0o644)
    assert spawn(["true"], os.environ, log).wait() == 0
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_forgetting_leaves_the_endpoint_file_of_another_start(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.json", tmp_path / "theirs.json"
    remembered = record().model_copy(update={"endpoint_files": (str(ours), str(theirs), str(tmp_path / "none"))})
    endpoint = Endpoint(host="127.0.0.1", port=1, model="/m", start_id=remembered.start_id)
    endpoint.write(ours)
    endpoint.model_copy(update={"start_id": "later"}).write(theirs)
    folder = ServerFolder(tmp_path / "policy")
    folder.create()
    folder.write(remembered)
    write_private(folder.config_file, "api-key: x\n")
    folder.forget(remembered)
    assert not ours.exists()
    assert theirs.exists()
    assert not folder.record_file.exists()
    assert not folder.config_file.exists()


def test_private_files_are_private(tmp_path: Path) -> None:
    folder = ServerFolder(tmp_path / "policy")
    folder.create()
    folder.write(record())
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.record_file.stat().st_mode) == 0o600
    assert json.loads(folder.record_file.read_text())["schema_version"] == 1


def test_a_broken_record_is_no_record(tmp_path: Path) -> None:
    folder = ServerFolder(tmp_path)
    folder.record_file.write_text("{")
    assert folder.read() is None


def test_a_server_of_another_host_is_shown_and_not_touched() -> None:
    ServerFolder(machine_dir("there") / "far").write(record("far", host="there"))
    assert [server.state for server in list_servers(HERE)] == ["elsewhere"]
    assert stop_all(HERE, 1.0) == []
    with pytest.raises(ServerToolError, match="'far' belongs to there"):
        find_folder("far", HERE)
    with pytest.raises(ServerToolError, match="there is no server 'near'"):
        stop_server("near", HERE, 1.0)


def test_two_starts_of_one_name_do_not_meet(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with (
        lock(file, "starting 'policy'", wait=False),
        pytest.raises(ServerToolError, match="another ets-server is starting 'policy'"),
        lock(file, "starting 'policy'", wait=False),
    ):
        raise AssertionError("both hold the lock")
    with lock(file, "starting 'policy'", wait=False):
        pass
