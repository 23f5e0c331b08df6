from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import httpx
import pytest

from ets_client._transport.base import HttpRequest, TransportError
from ets_client._transport.stock import StockTransport
from tests.fakes import eventually
from tests.transport.servers import OK, SocketServer, answer_ok, cut_in_the_body, hang_up, never_answer, reset

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import respx

    from tests.transport.servers import Answer


@contextlib.asynccontextmanager
async def opened(
    connections: int = 4, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[StockTransport]:
    stock = StockTransport(connections=connections, keep_alive_seconds=60, transport=transport)
    try:
        yield stock
    finally:
        await stock.aclose()


async def test_a_request_goes_out_as_it_is() -> None:
    async with SocketServer(answer_ok).run() as server, opened() as stock:
        reply = await stock.send(HttpRequest("POST", f"{server.url}/generate", {"X-Key": "k"}, b"{}"))
    assert (reply.status, reply.body) == (200, b"ok")
    (sent,) = server.requests
    assert sent.startswith(b"POST /generate HTTP/1.1\r\n")
    assert b"\r\nX-Key: k\r\n" in sent
    assert sent.endswith(b"\r\n\r\n{}")


async def test_a_connection_is_used_again() -> None:
    async with SocketServer(answer_ok).run() as server, opened() as stock:
        for _ in range(5):
            await stock.send(HttpRequest("GET", server.url))
    assert (server.connections, len(server.requests)) == (1, 5)


async def test_connections_of_a_burst_are_all_kept() -> None:
    async with SocketServer(answer_ok).run() as server, opened(connections=30) as stock:
        for _ in range(3):
            await asyncio.gather(*(stock.send(HttpRequest("GET", server.url)) for _ in range(30)))
    assert server.connections <= 30
    assert len(server.requests) == 90


async def test_control_requests_do_not_wait_behind_work() -> None:
    async with SocketServer(never_answer).run() as busy, SocketServer(answer_ok).run() as free, opened(1) as stock:
        work = asyncio.create_task(stock.send(HttpRequest("POST", busy.url)))
        await eventually(lambda: len(busy.requests) == 1)
        async with asyncio.timeout(5):
            reply = await stock.send(HttpRequest("POST", free.url, lane="control"))
        assert reply.body == b"ok"
        work.cancel()
        await asyncio.wait([work])


async def test_cancelling_closes_the_connection_and_leaves_the_others_alone() -> None:
    async with SocketServer(never_answer).run() as busy, SocketServer(answer_ok).run() as free, opened() as stock:
        await stock.send(HttpRequest("GET", free.url))
        work = asyncio.create_task(stock.send(HttpRequest("POST", busy.url)))
        await eventually(lambda: len(busy.requests) == 1)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        await eventually(lambda: busy.closed == 1)
        await stock.send(HttpRequest("GET", free.url))
        assert free.connections == 1


async def test_a_wait_for_a_piece_that_was_cancelled_lost_nothing() -> None:
    go_on = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await go_on.wait()
        writer.write(b"2\r\nok\r\n0\r\n\r\n")

    async with SocketServer(slow).run() as server, opened() as stock:
        stream = await stock.open(HttpRequest("POST", server.url))
        reading = asyncio.create_task(stream.piece())
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        assert reading.cancelled()
        go_on.set()
        assert [piece async for piece in stream.chunks()] == [b"ok"]
        await stream.aclose()


async def test_closing_ends_a_reader_that_waits() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await reader.read()

    async with SocketServer(slow).run() as server, opened() as stock:
        stream = await stock.open(HttpRequest("POST", server.url))
        reading = asyncio.create_task(stream.piece())
        await asyncio.sleep(0)
        await stream.aclose()
        with pytest.raises(TransportError, match="the stream is closed"):
            await reading


async def test_a_refused_connection_was_not_sent() -> None:
    async with SocketServer(answer_ok).run() as server:
        url = server.url
    async with opened() as stock:
        with pytest.raises(TransportError, match="ConnectError") as caught:
            await stock.send(HttpRequest("GET", url))
    assert not caught.value.was_sent


@pytest.mark.parametrize("answer", [reset, hang_up, cut_in_the_body])
async def test_a_connection_that_breaks_before_the_reply_is_complete_was_sent(answer: Answer) -> None:
    async with SocketServer(answer).run() as server, opened() as stock:
        with pytest.raises(TransportError) as caught:
            await stock.send(HttpRequest("POST", server.url, body=b"{}"))
    assert caught.value.was_sent
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("error", "was_sent"),
    [
        (httpx.ConnectError("refused"), False),
        (httpx.ConnectTimeout("slow"), False),
        (httpx.PoolTimeout("full"), False),
        (httpx.UnsupportedProtocol("ftp"), False),
        (httpx.LocalProtocolError("header"), False),
        (httpx.InvalidURL("port"), False),
        (httpx.ReadError("reset"), True),
        (httpx.WriteError("pipe"), True),
        (httpx.ReadTimeout("slow"), True),
        (httpx.RemoteProtocolError("cut"), True),
        (httpx.DecodingError("gzip"), True),
    ],
)
async def test_each_failure_tells_whether_the_server_may_have_worked(error: Exception, *, was_sent: bool) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error

    async with opened(transport=httpx.MockTransport(fail)) as stock:
        with pytest.raises(TransportError) as caught:
            await stock.send(HttpRequest("GET", "http://server"))
    assert caught.value.was_sent is was_sent
    assert str(caught.value) == f"{type(error).__name__}: {error}"
    assert caught.value.__cause__ is error


async def test_a_failure_without_words_is_named() -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("")

    async with opened(transport=httpx.MockTransport(fail)) as stock:
        with pytest.raises(TransportError, match=r"^ReadError$"):
            await stock.send(HttpRequest("GET", "http://server"))


async def test_an_error_status_is_a_reply() -> None:
    async with opened(transport=httpx.MockTransport(lambda _: httpx.Response(503, text="full"))) as stock:
        reply = await stock.send(HttpRequest("GET", "http://server"))
    assert (reply.status, reply.body) == (503, b"full")


async def test_respx_stands_in_for_the_network(respx_mock: respx.MockRouter) -> None:
    respx_mock.get("http://server/x").respond(200, text="mocked")
    async with opened() as stock:
        assert (await stock.send(HttpRequest("GET", "http://server/x"))).body == b"mocked"


async def test_a_borrowed_transport_stays_open() -> None:
    class Closable(httpx.MockTransport):
        is_closed = False

        async def aclose(self) -> None:
            self.is_closed = True

    transport = Closable(lambda _: httpx.Response(200))
    async with opened(transport=transport) as stock:
        await stock.send(HttpRequest("GET", "http://server"))
    assert not transport.is_closed


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with SocketServer(answer_ok).run() as server, opened() as stock:
        assert (await stock.send(HttpRequest("GET", server.url))).body == b"ok"


def test_a_request_shows_neither_its_headers_nor_its_body() -> None:
    shown = repr(HttpRequest("POST", "http://server", {"Authorization": "Bearer sk-1"}, b"sk-2"))
    assert "sk-" not in shown


async def test_what_went_through_is_counted() -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)

    async with SocketServer(answer).run() as server:
        transport = StockTransport(connections=1, keep_alive_seconds=5)
        reply = await transport.send(HttpRequest("POST", server.url, body=b"hello"))
        await transport.aclose()
    stats = transport.stats()
    assert (stats.requests, stats.sent_bytes, stats.received_bytes) == (1, 5, 2)
    assert reply.headers["content-length"] == "2"
