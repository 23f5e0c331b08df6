from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from ets_client import ConfigurationError, Endpoint

FIELDS: dict[str, Any] = {"host": "10.0.0.7", "port": 30001, "model": "/models/tiny", "start_id": "s1"}


def test_what_is_written_is_read_back_with_its_key(tmp_path: Path) -> None:
    endpoint = Endpoint(**FIELDS, profile="tiny", api_key=SecretStr("sk-1"), keep_alive_seconds=60)
    endpoint.write(tmp_path / "new" / "policy.json")
    assert Endpoint.read(tmp_path / "new" / "policy.json") == endpoint


def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    Endpoint(**FIELDS).write(tmp_path / "policy.json")
    assert stat.S_IMODE((tmp_path / "policy.json").stat().st_mode) == 0o600


def test_the_file_is_replaced_at_once_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    Endpoint(**FIELDS).write(path)
    Endpoint(**FIELDS | {"port": 30002}).write(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["policy.json"]
    assert Endpoint.read(path).port == 30002


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "policy.json").mkdir()
    with pytest.raises(OSError, match="directory"):
        Endpoint(**FIELDS).write(tmp_path / "policy.json")
    assert [entry.name for entry in tmp_path.iterdir()] == ["policy.json"]


@pytest.mark.parametrize(
    ("host", "url"),
    [("node7", "http://node7:30001"), ("::1", "http://[::1]:30001"), ("10.0.0.7", "http://10.0.0.7:30001")],
)
def test_the_address_is_made_of_host_and_port(host: str, url: str) -> None:
    assert Endpoint(**FIELDS | {"host": host}).base_url == url


def test_the_key_is_in_the_file_only() -> None:
    endpoint = Endpoint(**FIELDS, api_key=SecretStr("sk-1"))
    assert "sk-1" not in repr(endpoint) + str(endpoint) + str(endpoint.model_dump())
    assert "sk-1" in endpoint.model_dump_json()


def test_fields_of_a_newer_writer_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "e.json").write_text(json.dumps(FIELDS | {"schema_version": 1, "gpu": "H200"}))
    assert Endpoint.read(tmp_path / "e.json") == Endpoint(**FIELDS)


def test_a_missing_file_tells_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError,
        match=r"`ets-server status` shows what runs, `ets-server up --endpoint-file .*none.json` starts one",
    ):
        Endpoint.read(tmp_path / "none.json")


@pytest.mark.parametrize("given", ["http://127.0.0.1:30000", Path("https://host:30000")])  # a Path loses a slash
def test_an_address_in_place_of_a_file_is_told_where_it_belongs(given: str | Path) -> None:
    with pytest.raises(ConfigurationError, match="that is an address; give it as base_url or `--policy`"):
        Endpoint.read(given)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read"):
        Endpoint.read(tmp_path)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "the file"),
        ("{", "the file"),
        (json.dumps(FIELDS | {"schema_version": 2}), "schema_version"),
        (json.dumps(FIELDS | {"port": 0}), "port"),
        (json.dumps(FIELDS | {"keep_alive_seconds": 0}), "keep_alive_seconds"),
        (json.dumps(FIELDS | {"api_key": ["sk-1"], "host": "h"}), "api_key"),
    ],
)
def test_a_file_of_another_shape_is_refused_and_its_content_not_shown(tmp_path: Path, text: str, where: str) -> None:
    path = tmp_path / "e.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=f"not an endpoint file: {where}: ") as caught:
        Endpoint.read(path)
    assert "sk-1" not in str(caught.value)


def test_an_endpoint_does_not_change() -> None:
    endpoint: Any = Endpoint(**FIELDS)
    with pytest.raises(ValidationError, match="frozen"):
        endpoint.port = 1
