from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest
from ets_client.profiles import ModelSpec, PathSource

from ets_server import engines, facts
from ets_server.engines import ensure_engine, is_complete
from ets_server.enginespec import EngineSpec
from ets_server.errors import ServerToolError
from ets_server.hub import is_whole, local_snapshot
from ets_server.log_follower import LogFollower
from ets_server.models import check_folder, is_made
from ets_server.sources import ModelChoice
from ets_server.store import engines_dir

if TYPE_CHECKING:
    from pathlib import Path


def test_a_model_folder_is_whole_with_all_the_weights_its_index_names(tmp_path: Path) -> None:
    assert not is_whole(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    assert not is_whole(tmp_path)
    (tmp_path / "model-1.safetensors").touch()
    assert is_whole(tmp_path)
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert not is_whole(tmp_path)
    (tmp_path / "model-2.safetensors").touch()
    assert is_whole(tmp_path)


def test_what_is_not_in_the_hubs_cache_is_not_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert local_snapshot("owner/name", None) is None


def test_a_folder_of_the_users_must_hold_a_model(tmp_path: Path) -> None:
    choice = ModelChoice(ModelSpec(source=PathSource(path=str(tmp_path))), str(tmp_path))
    assert is_made(choice)
    with pytest.raises(ServerToolError, match=r"holds no config\.json"):
        check_folder(choice)
    (tmp_path / "config.json").touch()
    check_folder(choice)


def test_an_interrupted_install_is_not_taken_for_a_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "empty"))
    (tmp_path / "empty").mkdir()
    spec = EngineSpec("cuda", "no-such-package==1\n", "3.11")
    half_built = engines_dir() / spec.name / "half"
    half_built.mkdir(parents=True)
    said: list[str] = []
    with pytest.raises(ServerToolError, match="could not install the engine: No matching distribution found"):
        ensure_engine(spec, lambda phase, _: said.append(phase))
    assert said[0].startswith("installing the engine")
    assert not half_built.exists()
    assert not is_complete(spec)


def test_a_complete_engine_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    spec = EngineSpec("cpu", "x==1\n", "3.11")
    folder = engines_dir() / spec.name
    folder.mkdir(parents=True)
    (folder / ".complete").touch()
    assert ensure_engine(spec, lambda phase, detail: None) == folder / "bin/python"


def test_helpers_on_our_engine_are_not_led_astray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "9")
    ours = engines.environment_for(EngineSpec("cpu", "", "3.11"))
    assert "PYTHONPATH" not in ours
    assert ours["PIP_DEFAULT_TIMEOUT"] == "9"
    assert engines.environment_for(None)["PYTHONPATH"] == "/elsewhere"


def test_ports() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert not facts.port_is_free("127.0.0.1", port)
    assert facts.port_is_free("127.0.0.1", port)
    first = facts.free_port("127.0.0.1", frozenset())
    assert first is not None
    assert facts.free_port("127.0.0.1", frozenset({first})) not in {None, first}


def test_the_machine_is_read() -> None:
    machine = facts.read_machine()
    assert machine.cores >= 1
    assert machine.host


def test_a_log_is_followed_by_whole_lines(tmp_path: Path) -> None:
    log, pieces = tmp_path / "log", list[str]()
    log.write_bytes(b"one\ntw")
    follower = LogFollower(log, pieces.append)
    follower.read()
    with log.open("ab") as file:
        file.write(b"o\napi_key='secret'\n")
    follower.read(remember=False)
    follower.read()
    assert pieces == ["one\n", "two\napi_key='***'\n"]
    assert follower.text == "one\n"
