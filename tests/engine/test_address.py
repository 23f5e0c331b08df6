from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from ets_client import ConfigurationError, Endpoint
from ets_client._engine.address import EndpointAddress, FixedAddress

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, port: int, key: str | None = None) -> None:
    secret = None if key is None else SecretStr(key)
    Endpoint(host="node", port=port, model="m", start_id=str(port), api_key=secret).write(path)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:30000", "https://server/", "http://[::1]:30000", "http://router/prefix/"]
)
def test_an_address_loses_its_last_slash(url: str) -> None:
    assert FixedAddress(url, None).base_url == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:30000",
        "ftp://server",
        "http://",
        "http:///x",
        "http://a:99999",
        "http://a:x",
        "http://a:0",
        "http://[::1",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="base_url"):
        FixedAddress(url, None)


def test_a_file_or_a_port_in_place_of_an_address_is_told_what_takes_a_file() -> None:
    for given in ("policy.json", 30000):
        with pytest.raises(ConfigurationError, match=rf"base_url = {given!r}: .*; from_endpoint\(path\) takes"):
            FixedAddress(given, None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("key", ["", "a b", "a\nb", "ключ", "a\x00"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(tmp_path: Path, key: str) -> None:
    write(tmp_path / "e.json", 1, key)
    for make in (
        lambda: FixedAddress("http://a", SecretStr(key)),
        lambda: EndpointAddress(tmp_path / "e.json", None),
        lambda: EndpointAddress(tmp_path / "e.json", SecretStr(key)),
    ):
        with pytest.raises(ConfigurationError, match="api_key") as caught:
            make()
        assert not key or key not in str(caught.value)


async def test_a_fixed_address_stays() -> None:
    address = FixedAddress("http://a", None)
    await address.refresh()
    assert address.base_url == "http://a"


async def test_a_moved_server_is_found_when_looked_for_again(tmp_path: Path) -> None:
    path = tmp_path / "e.json"
    write(path, 1, "k1")
    address = EndpointAddress(path, None)
    write(path, 2, "k2")
    assert address.base_url == "http://node:1"
    await address.refresh()
    assert address.base_url == "http://node:2"
    assert address.api_key == SecretStr("k2")


async def test_a_given_key_wins_over_the_files(tmp_path: Path) -> None:
    write(tmp_path / "e.json", 1, "k1")
    assert EndpointAddress(tmp_path / "e.json", SecretStr("mine")).api_key == SecretStr("mine")


async def test_the_last_address_stays_while_the_file_is_missing_or_broken(tmp_path: Path) -> None:
    path = tmp_path / "e.json"
    write(path, 1)
    address = EndpointAddress(path, None)
    path.write_text("{")
    await address.refresh()
    path.unlink()
    await address.refresh()
    assert address.base_url == "http://node:1"


def test_a_client_without_its_file_cannot_begin(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no endpoint file"):
        EndpointAddress(tmp_path / "none.json", None)


@pytest.mark.parametrize("change", [{"model": "other"}, {"role": "reward"}])
async def test_another_model_behind_the_same_file_is_refused(tmp_path: Path, change: dict[str, str]) -> None:
    file = tmp_path / "policy.json"
    first = Endpoint(host="127.0.0.1", port=1, model="m", start_id="a")
    first.write(file)
    address = EndpointAddress(file, None)
    first.model_copy(update={"start_id": "b", **change}).write(file)
    with pytest.raises(ConfigurationError, match="make a new client for it"):
        await address.refresh()
    assert address.endpoint == first
