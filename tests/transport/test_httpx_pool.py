from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import httpx
import pytest

from ets_client._transport.httpx_pool import PoolTransport
from tests.fakes import Clock, eventually
from tests.transport.servers import OK, SocketServer, answer, answer_ok, cut_in_the_body, hang_up, never_answer, reset

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.transport.servers import Answer


@contextlib.asynccontextmanager
async def opened(connections: int = 4) -> AsyncIterator[tuple[httpx.AsyncClient, PoolTransport]]:
    transport = PoolTransport(connections=connections)
    async with httpx.AsyncClient(transport=transport) as client:
        yield client, transport
        stats = transport._pool.stats()
        assert (stats.busy, stats.waiting) == (0, 0)


async def test_a_request_goes_out_as_httpx_made_it() -> None:
    async with SocketServer(answer_ok).run() as server, opened() as (client, _):
        reply = await client.post(f"{server.url}/x?y=1", json={"a": 1}, headers={"X-Key": "k"}, auth=("me", "it"))
        assert (reply.status_code, reply.text, reply.http_version) == (200, "ok", "HTTP/1.1")
    (sent,) = server.requests
    assert sent.startswith(b"POST /x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"\r\nX-Key: k\r\n" in sent
    assert b"\r\nAuthorization: Basic " in sent
    assert b"\r\nUser-Agent: python-httpx" in sent
    assert sent.count(b"Content-Length") == 1
    assert sent.endswith(b'\r\n\r\n{"a":1}')


async def test_a_body_of_unknown_length_is_read_first() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    async with SocketServer(answer_ok).run() as server, opened() as (client, _):
        await client.post(server.url, content=body())
    assert b"transfer-encoding" not in server.requests[0].lower()
    assert server.requests[0].endswith(b"\r\n\r\nab")


async def test_headers_that_come_twice_stay_two() -> None:
    data = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n"
    async with SocketServer(answer(data)).run() as server, opened() as (client, _):
        reply = await client.get(server.url)
        assert reply.headers.get_list("set-cookie") == ["a=1", "b=2"]
        assert dict(client.cookies) == {"a": "1", "b": "2"}


async def test_a_connection_is_used_again_unless_the_stream_was_left() -> None:
    async with SocketServer(answer_ok).run() as server, opened(1) as (client, _):
        for _ in range(3):
            await client.get(server.url)
        assert server.connections == 1
        async with client.stream("GET", server.url) as reply:
            assert [piece async for piece in reply.aiter_bytes()] == [b"ok"]
        assert server.connections == 1
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"
    async with SocketServer(answer(chunked)).run() as server, opened(1) as (client, _):
        for _ in range(3):
            async with client.stream("GET", server.url) as reply:
                assert reply.status_code == 200
        assert server.connections == 3


async def test_a_head_request_has_no_body() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    async with SocketServer(answer(head)).run() as server, opened() as (client, _):
        for _ in range(2):
            reply = await client.head(server.url)
            assert (reply.headers["content-length"], reply.content) == ("5", b"")


@pytest.mark.parametrize(
    ("how", "error"),
    [(reset, httpx.ReadError), (hang_up, httpx.RemoteProtocolError), (cut_in_the_body, httpx.RemoteProtocolError)],
)
async def test_a_broken_reply_is_an_error_of_httpx(how: Answer, error: type[Exception]) -> None:
    async with SocketServer(how).run() as server, opened() as (client, _):
        with pytest.raises(error) as caught:
            await client.get(server.url)
        assert isinstance(caught.value, httpx.TransportError)
        assert caught.value.request.url == server.url


async def test_a_reply_that_is_no_http_is_an_error_of_httpx() -> None:
    async with SocketServer(answer(b"SSH-2.0\r\n")).run() as server, opened() as (client, _):
        with pytest.raises(httpx.RemoteProtocolError, match="not HTTP"):
            await client.get(server.url)


async def test_what_cannot_be_sent_is_an_error_of_httpx() -> None:
    async with opened() as (client, _):
        with pytest.raises(httpx.ConnectError, match="refused"):
            await client.get("http://127.0.0.1:1")
        with pytest.raises(httpx.LocalProtocolError, match="a character no header has"):
            await client.get("http://127.0.0.1:1", headers={"X": "a\r\nb"})
        with pytest.raises(httpx.UnsupportedProtocol, match="ftp"):
            await client.get("ftp://127.0.0.1")


async def test_each_timeout_of_httpx_holds() -> None:
    async with SocketServer(never_answer).run() as server, opened(1) as (client, transport):
        clock = Clock()
        timeout = httpx.Timeout(None, read=20, pool=10)
        first = asyncio.create_task(client.get(server.url, timeout=timeout))
        await eventually(lambda: len(server.requests) == 1)
        second = asyncio.create_task(client.get(server.url, timeout=timeout))
        await clock.jump(11, lambda: transport._pool.stats().waiting == 1)
        with pytest.raises(httpx.PoolTimeout):
            await second
        await clock.jump(11, lambda: True)
        with pytest.raises(httpx.ReadTimeout):
            await first


async def test_a_reply_that_stops_is_a_read_timeout() -> None:
    async with SocketServer(answer(OK[:-1])).run() as server, opened(1) as (client, transport):
        clock = Clock()
        reading = asyncio.create_task(client.get(server.url, timeout=httpx.Timeout(None, read=20)))
        await clock.jump(21, lambda: transport._pool.stats().received_bytes == 1)
        with pytest.raises(httpx.ReadTimeout):
            await reading


async def test_a_timeout_of_asyncio_is_left_alone() -> None:
    async with SocketServer(never_answer).run() as server, opened(1) as (client, _):
        clock = Clock()

        async def send() -> None:
            async with asyncio.timeout(5):
                await client.get(server.url, timeout=50)

        sending = asyncio.create_task(send())
        await clock.jump(6, lambda: len(server.requests) == 1)
        with pytest.raises(TimeoutError):
            await sending
