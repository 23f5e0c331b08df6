from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ets_client._transport.base import HttpRequest, TransportError
from tests.fakes import eventually
from tests.transport.pools import opened
from tests.transport.servers import SocketServer, answer, answer_and_close

if TYPE_CHECKING:
    from ets_client._transport.base import HttpStream

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


async def whole(stream: HttpStream) -> bytes:
    return b"".join([piece async for piece in stream.chunks()])


async def test_pieces_come_when_the_server_sends_them() -> None:
    go_on = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"1\r\na\r\n")
        await go_on.wait()
        writer.write(b"1\r\nb\r\n0\r\n\r\n")

    async with SocketServer(slow).run() as server, opened() as pool:
        stream = await pool.open(HttpRequest("POST", server.url))
        assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream")
        pieces = aiter(stream.chunks())
        assert await anext(pieces) == b"a"
        assert pool.stats().busy == 1
        go_on.set()
        assert await anext(pieces) == b"b"
        assert await anext(pieces, None) is None
        await stream.aclose()
        assert (pool.stats().idle, pool.stats().received_bytes) == (1, 2)


async def test_a_stream_read_to_its_end_gives_its_connection_back() -> None:
    async with SocketServer(answer(HEAD + b"2\r\nok\r\n0\r\n\r\n")).run() as server, opened(1) as pool:
        for _ in range(5):
            stream = await pool.open(HttpRequest("POST", server.url))
            assert await whole(stream) == b"ok"
            await stream.aclose()
            await stream.aclose()
    assert server.connections == 1


async def test_a_stream_that_is_left_closes_its_connection() -> None:
    async with SocketServer(answer(HEAD + b"2\r\nok\r\n")).run() as server, opened(1) as pool:
        for count in range(1, 4):
            stream = await pool.open(HttpRequest("POST", server.url))
            assert await anext(aiter(stream.chunks())) == b"ok"
            await stream.aclose()
            await eventually(lambda: server.closed == count)  # noqa: B023 - awaited here
            with pytest.raises(TransportError, match="the stream is closed"):
                await whole(stream)


async def test_closing_ends_a_reader_that_waits() -> None:
    async with SocketServer(answer(HEAD)).run() as server, opened(1) as pool:
        stream = await pool.open(HttpRequest("POST", server.url))
        reading = asyncio.create_task(whole(stream))
        await asyncio.sleep(0)
        await stream.aclose()
        with pytest.raises(TransportError, match="closed"):
            await reading


async def test_a_wait_that_was_cancelled_lost_nothing() -> None:
    go_on = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        await go_on.wait()
        writer.write(b"2\r\nok\r\n0\r\n\r\n")

    async with SocketServer(slow).run() as server, opened(1) as pool:
        stream = await pool.open(HttpRequest("POST", server.url))
        reading = asyncio.create_task(whole(stream))
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        go_on.set()
        assert await whole(stream) == b"ok"
        await stream.aclose()
        assert pool.stats().idle == 1


async def test_a_stream_that_nobody_reads_makes_the_server_wait_and_goes_on_when_somebody_does() -> None:
    sent = 0

    async def much(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        for _ in range(100):
            writer.write(bytes(1_000_000))
            await writer.drain()
            sent += 1_000_000

    async with SocketServer(much).run() as server, opened(1, most_body=1000) as pool:
        stream = await pool.open(HttpRequest("POST", server.url))
        (lane,) = pool._lanes.values()
        (connection,) = lane.connections
        await eventually(lambda: connection._is_paused)
        assert connection._reader is not None
        assert connection._reader.size < 400_000
        assert sent < 50_000_000
        assert sum([len(piece) async for piece in stream.chunks()]) == 100_000_000
        await stream.aclose()
        assert pool.stats().idle == 1


async def test_what_came_before_a_break_is_read_before_the_error() -> None:
    async with SocketServer(answer_and_close(HEAD + b"2\r\nok\r\n")).run() as server, opened(1) as pool:
        stream = await pool.open(HttpRequest("POST", server.url))
        await eventually(lambda: server.closed == 1)
        pieces = aiter(stream.chunks())
        assert await anext(pieces) == b"ok"
        with pytest.raises(TransportError, match="in the middle of the reply") as caught:
            await anext(pieces)
        assert (caught.value.was_sent, caught.value.was_idle) == (True, False)
        await stream.aclose()


async def test_a_refusal_of_a_stream_has_a_limit() -> None:
    reply = b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n"
    more = asyncio.Event()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply)
        await more.wait()
        writer.write(b"ffff\r\n" + bytes(65535))

    async with SocketServer(refuse).run() as server, opened(1, most_body=1000) as pool:
        stream = await pool.open(HttpRequest("POST", server.url))
        assert stream.status == 500
        more.set()
        with pytest.raises(TransportError, match="the most is 1000"):
            await whole(stream)
        await stream.aclose()
