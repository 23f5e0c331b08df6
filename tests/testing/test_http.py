from __future__ import annotations

import asyncio
import itertools
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ets_client.testing import Costs, FakeOptions, RealClock, VirtualClock
from ets_client.testing.connection import Connection
from tests.testing.conftest import Client, eventually, exchange, open_client

if TYPE_CHECKING:
    from ets_client.testing.exchange import Exchange
    from ets_client.testing.timing import Clock

BODY = json.dumps({"input_ids": [10, 11], "sampling_params": {"max_new_tokens": 1}}).encode()
POST = b"POST /generate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
PLAIN = POST + b"content-length: %d\r\n\r\n%s" % (len(BODY), BODY)
CHUNKED = POST + b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
CLOSE = b"GET /ping?a=b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


class _Recorder:
    """A handler that answers at once and remembers."""

    keep_alive_seconds = 5.0

    def __init__(self) -> None:
        self.clock: Clock = RealClock()
        self.seen: list[tuple[str, str, str, bytes]] = []

    def opened(self, connection: Connection) -> None: ...

    def closed(self, connection: Connection) -> None: ...

    def handle(self, exchange: Exchange) -> None:
        self.seen.append((exchange.method, exchange.path, exchange.query, exchange.body))
        exchange.reply(200, b"ok", closes=exchange.path == "/ping")


class _Wire(asyncio.Transport):
    """A transport into a list."""

    def __init__(self) -> None:
        super().__init__()
        self.out = b""
        self.is_shut = False

    def write(self, data: Any) -> None:
        self.out += bytes(data)

    def close(self) -> None:
        self.is_shut = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


@settings(max_examples=60)
@given(st.lists(st.integers(0, len(PLAIN + CHUNKED + CLOSE)), max_size=12))
def test_requests_are_the_same_however_their_bytes_arrive(cuts: list[int]) -> None:
    async def feed() -> None:
        data = PLAIN + CHUNKED + CLOSE
        home, wire = _Recorder(), _Wire()
        connection = Connection(home)
        connection.connection_made(wire)
        places = [0, *sorted(cuts), len(data)]
        for start, end in itertools.pairwise(places):
            if end > start:
                connection.data_received(data[start:end])
        await asyncio.sleep(0)
        assert home.seen == [
            ("POST", "/generate", "", BODY),
            ("POST", "/generate", "", BODY),
            ("GET", "/ping", "a=b", b""),
        ]
        assert wire.out.count(b"HTTP/1.1 200 OK") == 3
        assert wire.is_shut
        connection.connection_lost(None)

    asyncio.run(feed())


async def test_pipelined_requests_are_answered_in_order(client: Client) -> None:
    reply = await exchange(client.server.port, PLAIN * 40 + CLOSE)
    assert reply.count(b"HTTP/1.1 200 OK") == 41
    assert client.server.requests[-1] == ("GET", "/ping")


async def test_what_is_no_http_is_400_and_ends_the_connection(client: Client) -> None:
    assert (await exchange(client.server.port, b"\x00\x01\r\n\r\n")).startswith(b"HTTP/1.1 400")


async def test_a_body_may_wait_for_a_100(client: Client) -> None:
    head = POST + b"connection: close\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(BODY)
    reply = await exchange(client.server.port, head, BODY)
    assert reply.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")


async def test_an_idle_connection_is_closed_after_5_seconds() -> None:
    clock = VirtualClock()
    async with open_client(clock=clock) as client:
        await client.get("/ping")
        await clock.advance(3)
        await client.get("/ping")
        await clock.advance(4.9)
        assert client.server.open_connections == 1
        await clock.advance(0.2)
        assert client.server.open_connections == 0
        await client.get("/ping")
        assert client.server.connections == 2


async def test_keys_open_what_sglang_opens_with_them() -> None:
    async def status(client: Client, path: str, key: str | None) -> int:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        method = "POST" if path == "/flush_cache" else "GET"
        return (await client.http.request(method, path, headers=headers)).status_code

    async with open_client(FakeOptions(api_key="k", health_seconds=0.001)) as client:
        denied = await client.get("/server_info")
        assert (denied.status_code, denied.json()) == (401, {"error": "Unauthorized"})
        assert [await status(client, "/server_info", key) for key in (None, "x", "k")] == [401, 401, 200]
        assert [await status(client, path, None) for path in ("/health", "/metrics", "/flush_cache")] == [200, 200, 401]
        assert await status(client, "/flush_cache", "k") == 200
    async with open_client(FakeOptions(api_key="k", admin_api_key="a", version="0.5.23")) as client:
        assert [await status(client, "/flush_cache", key) for key in ("k", "a")] == [401, 200]
        assert [await status(client, path, None) for path in ("/ready", "/ping")] == [200, 401]
    async with open_client(FakeOptions(admin_api_key="a")) as client:
        assert [await status(client, "/ping", None), await status(client, "/flush_cache", None)] == [200, 401]


async def test_unknown_paths_and_methods_are_told_as_starlette_does(client: Client) -> None:
    assert (await client.get("/nope")).json() == {"detail": "Not Found"}
    reply = await client.get("/generate")
    assert (reply.status_code, reply.headers["allow"], reply.json()) == (
        405,
        "POST, PUT",
        {"detail": "Method Not Allowed"},
    )
    assert (await client.get("/v1/models/x")).json()["error"]["code"] == "model_not_found"
    assert (await client.http.post("/generate/")).status_code == 307
    assert (await client.http.head("/health")).status_code == 405
    assert (await client.http.put("/generate", json={"input_ids": [5]})).status_code == 200


async def test_each_version_has_its_own_endpoints() -> None:
    for version, expected in (("0.5.14", [404, 200, 404]), ("0.5.18", [404, 200, 404]), ("0.5.23", [200, 404, 404])):
        async with open_client(FakeOptions(version=version)) as client:  # type: ignore[arg-type]
            paths = ("/ready", "/get_load", "/weight_version")
            assert [(await client.get(path)).status_code for path in paths] == expected
            assert (await client.get("/server_info")).json()["version"] == version


async def test_health_takes_a_second_and_a_draining_server_is_unhealthy() -> None:
    clock = VirtualClock()
    async with open_client(clock=clock) as client:
        assert (await clock.run(client.get("/health"))).status_code == 200
        assert clock.now() == 1.0
        client.server.drain()
        assert (await client.get("/health_generate")).status_code == 503
        assert (await client.generate(max_new_tokens=1)).status_code == 200


async def test_a_flush_waits_for_idleness_as_long_as_it_may() -> None:
    clock = VirtualClock()
    async with open_client(clock=clock, costs=Costs(decode_step=1)) as client:
        call = asyncio.ensure_future(client.generate(max_new_tokens=5, ignore_eos=True))
        await eventually(lambda: bool(client.server.scheduler.running))
        assert (await client.post("/flush_cache")).status_code == 400
        late = asyncio.ensure_future(client.http.post("/flush_cache?timeout=1"))
        await clock.advance(1.5)
        assert (await late).status_code == 400
        flush = asyncio.ensure_future(client.http.post("/flush_cache?timeout=60"))
        await clock.run(call)
        assert (await flush).status_code == 200
        assert client.server.scheduler.tree.size == 0


async def test_a_pause_aborts_what_runs_and_keeps_what_comes(client: Client) -> None:
    assert (await client.post("/pause_generation", mode="in_place")).status_code == 200
    call = asyncio.ensure_future(client.generate(max_new_tokens=1))
    await eventually(lambda: bool(client.server.scheduler.waiting))
    await client.post("/pause_generation")
    assert (await call).json()["meta_info"]["finish_reason"] == {"type": "abort", "message": "Abort in waiting queue"}
    after = asyncio.ensure_future(client.generate(max_new_tokens=1))
    await eventually(lambda: bool(client.server.scheduler.waiting))
    await client.post("/continue_generation")
    assert (await after).status_code == 200


async def test_metrics_and_loads_agree_with_the_scheduler(client: Client) -> None:
    for _ in range(2):
        await client.generate(list(range(10, 30)), max_new_tokens=3, ignore_eos=True)
    text = (await client.get("/metrics")).text
    values = {line.partition("{")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[0] != "#"}
    modes = {
        mode: next(float(line.rpartition(" ")[2]) for line in text.splitlines() if f'mode="{mode}"' in line)
        for mode in ("prefill_compute", "prefill_cache", "decode")
    }
    assert modes == {"prefill_compute": 21, "prefill_cache": 19, "decode": 4}
    assert values["sglang:generation_tokens_total"] == 6
    assert values["sglang:prompt_tokens_total"] == 40
    assert values["sglang:cached_tokens_total"] == 19
    load = (await client.get("/v1/loads?include=core")).json()["loads"][0]
    assert (load["num_running_reqs"], load["num_waiting_reqs"], load["max_total_num_tokens"]) == (0, 0, 65536)
    assert "queues" not in load
    assert (await client.get("/v1/loads?dp_rank=3")).json()["loads"] == []
    assert "sglang_num_running_reqs" in (await client.get("/v1/loads?format=prometheus")).text
    assert (await client.get("/v1/loads?include=bad")).status_code == 500
    assert (await client.get("/get_load")).json()[0]["num_reqs"] == 0


async def test_text_and_chats_are_tokenised(client: Client) -> None:
    tokenizer = client.server.tokenizer
    reply = (await client.post("/tokenize", prompt=["a", "bc"])).json()
    assert (reply["count"], reply["max_model_len"]) == ([1, 2], 2048)
    chat = [{"role": "user", "content": "hi"}]
    ids = (await client.post("/v1/tokenize", messages=chat)).json()["tokens"]
    assert tokenizer.decode(ids) == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    chat.append({"role": "assistant", "content": "So"})
    ids = (await client.post("/tokenize", messages=chat, continue_final_message=True)).json()["tokens"]
    assert tokenizer.decode(ids).endswith("<|im_start|>assistant\nSo")
    assert (await client.post("/detokenize", tokens=[[10], [11]])).json()["text"] == ["\x06", "\x07"]
    assert (await client.post("/detokenize", tokens=[])).json() == {"text": ""}
    for path, fields in (("/tokenize", {}), ("/tokenize", {"prompt": 5}), ("/detokenize", {"tokens": "x"})):
        assert (await client.post(path, **fields)).status_code == 400
    assert (await client.http.post("/tokenize", content=b'{"prompt": "a"}')).status_code == 400
    async with open_client(FakeOptions(has_chat_template=False)) as bare:
        assert (await bare.post("/tokenize", messages=chat)).status_code == 400


async def test_reward_endpoints_say_that_this_is_a_generation_model(client: Client) -> None:
    for path in ("/classify", "/encode"):
        reply = await client.post(path, text="a")
        assert reply.status_code == 400
        assert "does not appear to be an embedding model" in reply.json()["error"]["message"]
    assert (await client.post("/v1/score", query="a", items=["b"])).status_code == 400
    assert (await client.post("/v1/score", query="a", items=["b"], label_token_ids=[9999])).status_code == 400
    reply = await client.post("/v1/score", query="a", items=["b", "c"], label_token_ids=[5, 6], apply_softmax=True)
    assert [sum(row) for row in reply.json()["scores"]] == pytest.approx([1, 1])


async def test_a_killed_server_resets_its_clients_and_loses_its_cache(client: Client) -> None:
    await client.generate(max_new_tokens=1)
    port = client.server.port
    await client.server.kill()
    with pytest.raises(httpx.ConnectError):
        await client.generate()
    await client.server.restart()
    assert client.server.port == port
    assert (await client.generate(max_new_tokens=1)).json()["meta_info"]["cached_tokens"] == 0
