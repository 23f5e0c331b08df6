from __future__ import annotations

import asyncio
import itertools
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from ets_client._transport.base import HttpRequest, TransportError
from tests.transport.pools import opened
from tests.transport.servers import OK, SocketServer, answer_and_close, answer_ok

if TYPE_CHECKING:
    from ets_client._transport.pool import Pool

REPLIES = [
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
]


async def read(pool: Pool, request: HttpRequest) -> bytes:
    stream = await pool.open(request)
    try:
        return b"".join([piece async for piece in stream.chunks()])
    finally:
        await stream.aclose()


@pytest.mark.parametrize("reply", REPLIES)
async def test_a_reply_that_is_cut_at_any_byte_is_a_typed_error(reply: bytes) -> None:
    for place in range(len(reply)):
        async with SocketServer(answer_and_close(reply[:place])).run() as server, opened() as pool:
            with pytest.raises(TransportError) as caught:
                await pool.send(HttpRequest("POST", server.url, body=b"{}"))
            assert caught.value.was_sent
            assert not caught.value.was_idle
            assert pool.stats().idle == 0


@pytest.mark.parametrize("reply", REPLIES)
async def test_a_stream_that_is_cut_at_any_byte_is_a_typed_error(reply: bytes) -> None:
    for place in range(len(reply)):
        async with SocketServer(answer_and_close(reply[:place])).run() as server, opened() as pool:
            with pytest.raises(TransportError) as caught:
                await read(pool, HttpRequest("POST", server.url, body=b"{}"))
            assert caught.value.was_sent


async def test_a_request_that_is_cut_at_any_byte_is_a_typed_error_on_a_new_and_on_a_used_connection() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if is_used:
            await reader.readuntil(b"{}")
            writer.write(OK)
        await reader.readexactly(place)
        writer.transport.abort()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    size = len(f"POST / HTTP/1.1\r\nHost: {url[7:]}\r\nUser-Agent: ets-client\r\nContent-Length: 2\r\n\r\n{{}}")
    async with listener:
        for is_used, place in itertools.product((False, True), range(1, size + 1)):  # serve() looks at them
            async with opened(1) as pool:
                request = HttpRequest("POST", url, body=b"{}")
                if is_used:
                    await pool.send(request)
                with pytest.raises(TransportError) as caught:
                    await pool.send(request)
                assert (caught.value.was_sent, caught.value.was_idle) == (True, is_used), place


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "is not HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x28", "use an https:// address"),
        (b"\x00\xfe<garbage>\xff" * 1000, "is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999999\r\n\r\n", "is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n", "ask for fewer samples"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200_000, "headers are larger"),
        (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", "another protocol"),
    ],
)
async def test_a_reply_that_cannot_be_one_is_a_typed_error_and_the_next_request_goes_well(
    reply: bytes, words: str
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(server.requests) > 1:
            await answer_ok(reader, writer)
        else:
            writer.write(reply)

    async with SocketServer(serve).run() as server, opened(1) as pool:
        with pytest.raises(TransportError, match=words) as caught:
            await pool.send(HttpRequest("POST", server.url))
        assert caught.value.was_sent
        assert (await pool.send(HttpRequest("POST", server.url))).body == b"ok"


@pytest.mark.parametrize("reply", [*REPLIES, b"HTTP/1.1 200 OK\r\n\r\nok"])
async def test_a_reply_over_the_limit_that_comes_at_once_is_an_error_and_not_an_empty_reply(reply: bytes) -> None:
    async with SocketServer(answer_and_close(reply)).run() as server, opened(most_body=1) as pool:
        with pytest.raises(TransportError, match="the most is 1"):
            await pool.send(HttpRequest("POST", server.url))


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: "],
)
async def test_a_reply_of_100_mb_takes_no_more_memory_than_its_limit(head: bytes) -> None:
    sent = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(head)
        for _ in range(1600):
            writer.write(bytes(b"x" * 65536))
            await writer.drain()
            sent += 65536

    async with SocketServer(serve).run() as server, opened(most_body=1_000_000) as pool:
        tracemalloc.start()
        with pytest.raises(TransportError, match=r"the most is 1000000|headers are larger"):
            await pool.send(HttpRequest("POST", server.url))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 4_000_000
    assert sent < 50_000_000
