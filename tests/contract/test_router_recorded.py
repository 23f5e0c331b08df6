"""The imitated routers answer as the real ones did, ``sglang-router`` 0.3.2 and ``smg`` 1.13.0."""

from __future__ import annotations

import asyncio
import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from ets_client._wire.admin import read_model_info
from ets_client._wire.router import is_router, read_router_info, read_tokenizers, read_workers
from ets_client.testing import FakeOptions, FakeServer
from tests.fake_router import FakeRouter

from .record_router import record_router
from .router_cases import ROUTER_CASES

if TYPE_CHECKING:
    from ets_client import ServerInfo

Kind = Literal["sglang-router", "smg"]
KINDS: dict[Kind, str] = {"sglang-router": "sglang-router-0.3.2", "smg": "smg-1.13.0"}
FOLDER = Path(__file__).parent / "recorded" / "router"
NAMES = [name for name, *_ in ROUTER_CASES]


@cache
def recorded(kind: Kind) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{KINDS[kind]}.json").read_text(encoding="utf-8"))
    return found


@cache
def imitated(kind: Kind) -> dict[str, Any]:
    async def ask() -> dict[str, Any]:
        options = FakeOptions(health_seconds=0.01)
        async with FakeServer(options) as server, FakeRouter(kind, server.base_url, tokenizers=("fake-model",)) as fake:
            return await asyncio.to_thread(record_router, fake.base_url, "fake-model")

    return asyncio.run(ask())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_imitation_answers_as_the_recorded_router(kind: Kind, name: str) -> None:
    assert shape(imitated(kind)[name]) == shape(recorded(kind)[name])


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_real_router_tells_is_read(kind: Kind) -> None:
    facts = read(recorded(kind))
    assert facts.frontend == kind
    assert (facts.workers, facts.model_path, facts.dp_size) == (1, "/models/m", 1)
    assert facts.max_total_tokens == 65536
    assert facts.has_metrics
    assert not facts.has_aborts
    told = (facts.version, facts.context_length, facts.page_size, facts.max_running_requests, facts.max_input_tokens)
    assert told == (("0.5.18", 2048, 1, 64, 2042) if kind == "smg" else ("", None, None, None, None))
    (tokenizer,) = read_tokenizers(recorded(kind)["tokenizers"]["body"].encode())
    assert (tokenizer.name, tokenizer.vocab_size) == ("/models/m", 2048)


@pytest.mark.parametrize("kind", KINDS)
def test_a_recording_holds_all_cases_and_no_folder_or_address_of_a_machine(kind: Kind) -> None:
    assert list(recorded(kind)) == NAMES
    text = json.dumps(recorded(kind))
    assert not re.search(r"/(root|home|tmp|work|mnt|opt|usr|scratch|data)/|\d+\.\d+\.\d+\.\d+", text)


def read(replies: dict[str, Any]) -> ServerInfo:
    bodies = {name: reply["body"].encode() for name, reply in replies.items()}
    assert is_router(bodies["readiness"])
    model, workers = read_model_info(bodies["get_model_info"]), read_workers(bodies["workers"])
    return read_router_info(bodies["get_server_info"], model, workers, bodies["engine_metrics"])


def shape(reply: dict[str, Any]) -> dict[str, Any]:
    """What a client can rely on: the status, the kind of body, and of samples their ids, counts and keys."""
    body = reply["body"]
    if reply["content_type"] == "text/event-stream":
        told: Any = [_sample(json.loads(line[6:])) for line in body.split("\n\n") if line.startswith("data: {")][-1]
    elif body.startswith("["):
        told = [_sample(each) for each in json.loads(body)]
    elif body.startswith("{"):
        told = _keys(json.loads(body))
    else:
        told = re.sub(r"column \d+|line \d+", "", body)[:70] if reply["status"] == 422 else bool(body)
    return {"status": reply["status"], "body": told}


def _sample(sample: dict[str, Any]) -> dict[str, Any]:
    meta = sample["meta_info"]
    counts = {name: meta[name] for name in ("id", "prompt_tokens", "completion_tokens")}
    return counts | {"keys": sorted(sample), "has_logprobs": sorted(name for name in meta if "logprobs" in name)}


def _keys(value: dict[str, Any]) -> Any:
    if "error" in value:
        error = value["error"]
        return {"error": error.get("code") or error.get("type") if isinstance(error, dict) else error}
    return {
        name for name in ("model_path", "router_manager", "workers", "tokenizers", "tokens", "text") if name in value
    }
