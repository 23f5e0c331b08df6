"""Whatever comes back, a call ends in its result or in a typed error."""

from __future__ import annotations

import asyncio

import pytest

from ets_client import AsyncPolicyClient, RequestError, RetryPolicy, SamplingParams, ServerFaultError
from ets_client.testing import Answer, Cut, FakeServer, FaultPlan, Garbage, Raw, Reset, Slow, Stall
from tests.survival.conftest import FAST, site

STEP = SamplingParams(max_new_tokens=2, ignore_eos=True)
NO_RETRY = RetryPolicy(attempts=1, least_attempt=0.2)


@pytest.mark.parametrize("fault", [Garbage(), Garbage(10**6), Cut(), Cut(0.99), Answer(200, b"", "text/html")])
async def test_what_is_no_reply_of_sglang_is_a_fault_that_shows_its_beginning(fault: Garbage | Cut | Answer) -> None:
    async with site(FaultPlan().on(fault), retry=NO_RETRY) as (_, client):
        with pytest.raises(ServerFaultError, match="not what SGLang sends") as caught:
            await client.expand("q", 2, STEP)
        assert len(caught.value.body) <= 300


HEAD = b"HTTP/1.1 200 OK\r\n"
BAD = {
    "TLS": (Raw(), "speaks TLS"),
    "no HTTP": (Raw(b"SSH-2.0-OpenSSH_9.6\r\n"), "is not HTTP"),
    "100 MB": (Raw(HEAD + b"content-length: 100000000\r\n\r\n"), "ask for fewer samples"),
    "100 MB without a length": (Raw(HEAD + b"connection: close\r\n\r\n" + bytes(100_000_000)), "ask for fewer samples"),
    "headers of 1 MB": (Raw(HEAD + b"x: " + b"a" * 1_000_000 + b"\r\n\r\n"), "headers are larger"),
    "many headers": (Raw(HEAD + b"x: a\r\n" * 200_000 + b"\r\n"), "headers are larger"),
}


@pytest.mark.parametrize("name", BAD)
async def test_bytes_that_are_no_usable_reply_are_a_fault_and_are_not_asked_for_again_and_again(name: str) -> None:
    fault, says = BAD[name]
    async with site(FaultPlan().on(fault)) as (server, client):
        with pytest.raises(ServerFaultError, match=says):
            await client.expand([1, 2, 3], 1, STEP)
        assert server.count("/generate") == 2
        server.faults.clear()
        assert len(await client.expand([1, 2, 3], 1, STEP)) == 1


async def test_a_wrong_content_type_does_not_matter_when_the_body_is_right() -> None:
    body = b'[{"text": "a", "output_ids": [5], "meta_info": {"id": "x", "finish_reason": {"type": "length"}}}]'
    async with site(FaultPlan().on(Answer(200, body, "text/plain"))) as (_, client):
        assert (await client.expand("q", 1, STEP))[0].text == "a"


async def test_a_reply_cut_at_any_byte_is_sent_for_again() -> None:
    async with site() as (server, client):
        root = await client.prefix("q")
        await client.warm(root)
        size = 0
        while True:
            before = client.stats.resends
            server.faults.on(Reset(after=size), times=1)
            assert len(await client.expand(root, 2, STEP)) == 2
            server.faults.clear()
            if client.stats.resends == before:
                break  # the whole reply had come
            client._server.budget._tokens = 10.0
            size += 1 if size < 20 else 17
        assert size > 500


async def test_a_reply_in_small_pieces_is_whole() -> None:
    async with site(FaultPlan().on(Slow(bytes_at_once=7, seconds=0.0))) as (_, client):
        assert len(await client.expand("q", 2, STEP)) == 2


async def test_a_reply_that_stops_in_the_middle_is_sent_for_again() -> None:
    faults = FaultPlan()
    async with site(faults) as (_, client):
        root = await client.prefix("q")
        await client.expand(root, 2, STEP)
        faults.on(Stall(after=100), times=1)
        assert len(await asyncio.wait_for(client.expand(root, 2, STEP), 20)) == 2
        assert client.stats.failures == {"no_reply": 1}


async def test_a_server_that_is_none_is_a_typed_error_at_once() -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"\x15\x03\x01\x00\x02\x02\x46")  # the alert of a server that speaks TLS
        writer.close()

    server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(RequestError):
        async with AsyncPolicyClient(f"http://127.0.0.1:{port}", retry=NO_RETRY):
            raise AssertionError("it cannot be entered")
    server.close()
    await server.wait_closed()


async def test_tls_to_a_plain_server_is_a_typed_error_at_once() -> None:
    async with FakeServer(costs=FAST) as server:
        with pytest.raises(RequestError):
            async with AsyncPolicyClient(server.base_url.replace("http", "https"), retry=NO_RETRY):
                raise AssertionError("it cannot be entered")
