from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from ets_client.testing import (
    Answer,
    BareResponder,
    Cut,
    Fault,
    FaultPlan,
    Garbage,
    Late,
    NeverAnswer,
    QueueFull,
    Refuse,
    Reset,
    ServerError,
    Slow,
    Stall,
    VirtualClock,
)
from tests.testing.conftest import exchange, open_client

BODY = b'{"input_ids":[10],"sampling_params":{"max_new_tokens":1}}'
POST = b"POST /generate HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)


def test_rules_count_requests_of_their_path() -> None:
    plan = FaultPlan().on(QueueFull(), nth=2).on(ServerError(), None, times=1)
    paths = ["/generate", "/generate", "/generate", "/ping"]
    assert [plan.match(path) for path in paths] == [ServerError(), QueueFull(), None, None]
    plan.clear()
    assert plan.match("/generate") is None


def test_the_same_seed_meets_the_same_faults_about_as_often_as_asked() -> None:
    one, two = (FaultPlan(seed=4).on(QueueFull(), probability=0.2) for _ in range(2))
    hits = [one.match("/generate") for _ in range(2000)]
    assert hits == [two.match("/generate") for _ in range(2000)]
    assert 300 < sum(hit is not None for hit in hits) < 500


def test_rules_that_cannot_be_meant_are_refused() -> None:
    with pytest.raises(ValueError, match="probability"):
        FaultPlan().on(QueueFull(), probability=2)
    with pytest.raises(ValueError, match="the first request is 1"):
        FaultPlan().on(QueueFull(), nth=0)


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        (QueueFull(), 503, "queue is full"),
        (ServerError(), 500, "Internal Server Error"),
        (Answer(418, b"tea", "text/plain"), 418, "tea"),
        (Late(0.001), 200, "output_ids"),
        (Slow(64, 0.0001), 200, "output_ids"),
    ],
)
async def test_replies_on_purpose(fault: Fault, status: int, text: str) -> None:
    async with open_client(faults=FaultPlan().on(fault, nth=1)) as client:
        reply = await client.generate(max_new_tokens=1)
        assert reply.status_code == status
        assert text in reply.text
        assert (await client.generate(max_new_tokens=1)).json()["output_ids"]


@pytest.mark.parametrize("fault", [Garbage(), Cut(0.5)])
async def test_bodies_that_are_no_json_come_in_good_http(fault: Fault) -> None:
    async with open_client(faults=FaultPlan().on(fault, nth=1)) as client:
        reply = await client.generate(max_new_tokens=1)
        assert reply.status_code == 200
        with pytest.raises(ValueError, match=r"JSON|codec|Unterminated|Expecting"):
            json.loads(reply.content)
        assert (await client.generate(max_new_tokens=1)).json()["output_ids"]


@pytest.mark.parametrize("after", [None, 0, 1, 17, 60, 200])
async def test_a_reset_comes_after_exactly_so_many_bytes(after: int | None) -> None:
    async with open_client(faults=FaultPlan().on(Reset(after))) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
        writer.write(POST)
        got = await reader.readexactly(after) if after else b""
        with pytest.raises(ConnectionResetError):
            await reader.read()
        assert len(got) == (after or 0)
        assert client.server.scheduler.counts["finished"] == (0 if after is None else 1)
        writer.close()


async def test_streams_break_too() -> None:
    async with open_client(faults=FaultPlan().on(Reset(400), nth=1).on(Cut(), nth=2)) as client:
        for error in (httpx.ReadError, httpx.RemoteProtocolError):
            with pytest.raises(error):
                await client.events(max_new_tokens=20, ignore_eos=True)
        assert await client.events(max_new_tokens=2)


@pytest.mark.parametrize(("fault", "finished"), [(NeverAnswer(), 0), (Stall(30), 1)])
async def test_silence_lasts_until_the_client_leaves(fault: Fault, finished: int) -> None:
    clock = VirtualClock()
    async with open_client(clock=clock, faults=FaultPlan().on(fault, nth=1)) as client:
        call = asyncio.ensure_future(client.generate(max_new_tokens=1))
        await clock.advance(3600)
        assert not call.done()
        assert client.server.open_connections == 1
        assert client.server.scheduler.counts["finished"] == finished
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)


async def test_a_server_that_refuses_is_back_after_its_time() -> None:
    clock = VirtualClock()
    async with open_client(clock=clock, faults=FaultPlan().on(Refuse(5), nth=1)) as client:
        with pytest.raises(httpx.TransportError):
            await client.generate()
        with pytest.raises(httpx.ConnectError):
            await client.generate()
        assert client.server.open_connections == 0
        await clock.advance(5)
        assert (await client.generate(max_new_tokens=1)).status_code == 200


async def test_the_bare_responder_answers_everything_alike() -> None:
    async with BareResponder(b'{"a":1}') as server, httpx.AsyncClient(base_url=server.base_url) as http:
        assert (await http.post("/generate", content=b"x" * 100_000)).json() == {"a": 1}
        assert (await http.get("/anything")).json() == {"a": 1}
        assert (server.served, server.connections) == (2, 1)
    async with BareResponder(delay=0.001, jitter=0.001, keep_alive_seconds=0.02) as server:
        reply = await exchange(server.port, POST + POST)
        assert reply.count(b"200 OK") == 2
