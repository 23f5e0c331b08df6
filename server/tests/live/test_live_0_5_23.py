"""The tiny model on SGLang 0.5.23: ``pytest -m live_0_5_23``."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from ets_client.endpoint import Endpoint

from ..command_line import ets_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.live_0_5_23

KEY = """sk-'live'-"test"""
START_SECONDS = 600  # the first start of all installs the engine


@pytest.fixture(scope="module")
def endpoint(state: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "key").write_text(KEY)
    (folder / "key").chmod(0o600)
    file = folder / "e.json"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    arguments = ["--profile", "tiny", "--sglang", "0.5.23", "--port", port, "--api-key-file", str(folder / "key")]
    try:
        result = ets_server("up", "v23", *arguments, "--endpoint-file", str(file), timeout=START_SECONDS)
        assert result.returncode == 0, result.stderr
        assert "reading the configuration" in result.stderr
        yield Endpoint.read(file)
    finally:
        ets_server("down", "--all")


def ask(endpoint: Endpoint, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    method = "GET" if body is None else "POST"
    headers = {"Authorization": f"Bearer {KEY}"}
    reply = httpx.request(method, f"{endpoint.base_url}{path}", json=body, headers=headers, timeout=60)
    answer: dict[str, Any] = reply.raise_for_status().json()
    return answer


def generate(endpoint: Endpoint, **sampling: object) -> dict[str, Any]:
    return ask(endpoint, "/generate", {"text": "1 + 1 =", "sampling_params": sampling})


def test_it_is_0_5_23_with_the_flags_of_the_cpu_engine(endpoint: Endpoint) -> None:
    info = ask(endpoint, "/server_info")
    assert info["version"] == "0.5.23"
    assert (info["device"], info["attention_backend"], info["grammar_backend"]) == ("cpu", "torch_native", "xgrammar")
    assert info["disable_overlap_schedule"] is info["disable_cuda_graph"] is info["sleep_on_idle"] is True
    assert info["schedule_policy"] == "lpm"


def test_it_generates(endpoint: Endpoint) -> None:
    reply = generate(endpoint, max_new_tokens=4, ignore_eos=True)
    assert reply["meta_info"]["completion_tokens"] == len(reply["output_ids"]) == 4


def test_its_grammar_backend_works(endpoint: Endpoint) -> None:
    reply = generate(endpoint, max_new_tokens=8, regex="[0-9]{3}")
    assert len(reply["text"]) == 3
    assert reply["text"].isdecimal()


def test_without_the_key_it_answers_nothing(endpoint: Endpoint) -> None:
    assert httpx.get(f"{endpoint.base_url}/server_info", timeout=60).status_code == 401


def test_the_key_is_in_no_log_shown(endpoint: Endpoint) -> None:
    shown = ets_server("logs", "v23").stdout
    assert "server_args={" in shown
    assert "'api_key': '***'" in shown
    assert repr(KEY)[1:-1] not in shown
    assert KEY not in shown
