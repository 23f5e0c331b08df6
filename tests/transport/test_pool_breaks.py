from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest

from ets_client._transport.base import HttpRequest, TransportError
from tests.fakes import Clock, eventually
from tests.transport.pools import opened
from tests.transport.servers import OK, SocketServer, answer_ok, cut_in_the_body, hang_up, reset

if TYPE_CHECKING:
    from tests.transport.servers import Answer


async def test_a_refused_connection_was_not_sent() -> None:
    async with SocketServer(answer_ok).run() as server:
        url = server.url
    async with opened() as pool:
        with pytest.raises(TransportError, match=r"^127.0.0.1:\d+: Connection refused$") as caught:
            await pool.send(HttpRequest("GET", url))
    assert not caught.value.was_sent


async def test_a_name_that_nobody_knows_was_not_sent() -> None:
    async with opened() as pool:
        with pytest.raises(TransportError, match=r"server.invalid:80: ") as caught:
            await pool.send(HttpRequest("GET", "http://server.invalid/"))
    assert not caught.value.was_sent


async def test_connecting_takes_a_limited_time() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.create_connection(full.getsockname()):
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        async with opened() as pool:
            clock = Clock()
            sending = asyncio.create_task(pool.send(HttpRequest("GET", url)))
            await clock.jump(10.1, lambda: pool.stats().busy == 1 and bool(next(iter(pool._lanes.values()))._dials))
            with pytest.raises(TransportError, match=r"no connection within 10.0 s") as caught:
                await sending
    assert not caught.value.was_sent


@pytest.mark.parametrize("how", [reset, hang_up, cut_in_the_body])
async def test_a_new_connection_that_breaks_before_the_reply_is_complete_was_sent_and_not_idle(how: Answer) -> None:
    async with SocketServer(how).run() as server, opened() as pool:
        with pytest.raises(TransportError) as caught:
            await pool.send(HttpRequest("POST", server.url, body=b"{}"))
    assert (caught.value.was_sent, caught.value.was_idle) == (True, False)
    assert len(server.requests) == 1


@pytest.mark.parametrize(("how", "was_idle"), [(reset, True), (hang_up, True), (cut_in_the_body, False)])
async def test_a_used_connection_that_breaks_before_the_first_byte_was_idle(how: Answer, *, was_idle: bool) -> None:
    async def first_good(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await (answer_ok if len(server.requests) == 1 else how)(reader, writer)

    async with SocketServer(first_good).run() as server, opened() as pool:
        await pool.send(HttpRequest("POST", server.url))
        with pytest.raises(TransportError) as caught:
            await pool.send(HttpRequest("POST", server.url))
    assert server.connections == 1
    assert (caught.value.was_sent, caught.value.was_idle) == (True, was_idle)


async def test_one_broken_exchange_leaves_the_others_alone() -> None:
    async def some(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await (reset if b"/bad" in server.requests[-1] else answer_ok)(reader, writer)

    async with SocketServer(some).run() as server, opened(8) as pool:
        urls = [f"{server.url}/{'bad' if number % 3 == 0 else 'good'}" for number in range(300)]
        done = await asyncio.gather(*(pool.send(HttpRequest("GET", url)) for url in urls), return_exceptions=True)
    assert [isinstance(result, TransportError) for result in done] == [url.endswith("bad") for url in urls]


async def test_a_close_that_the_loop_has_not_seen_yet_is_noticed_before_sending() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with opened() as pool:
            sending = asyncio.create_task(pool.send(HttpRequest("GET", url)))
            peer, _ = await loop.sock_accept(listener)
            await loop.sock_recv(peer, 1000)
            await loop.sock_sendall(peer, OK)
            await sending
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
            peer.close()  # no await between this and the next request
            sending = asyncio.create_task(pool.send(HttpRequest("GET", url)))
            peer, _ = await loop.sock_accept(listener)
            await loop.sock_recv(peer, 1000)
            await loop.sock_sendall(peer, OK)
            assert (await sending).status == 200
            assert pool.stats().opened == 2
            peer.close()


async def serve_and_close(listener: socket.socket) -> None:
    """Answer each connection once and close it without saying so: reply and close arrive together."""
    loop = asyncio.get_running_loop()
    while True:
        peer, _ = await loop.sock_accept(listener)
        with peer:
            await loop.sock_recv(peer, 1000)
            await loop.sock_sendall(peer, OK)


async def test_a_server_that_closes_without_saying_so_loses_no_request_of_those_that_wait() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        serving = asyncio.create_task(serve_and_close(listener))
        async with opened(1) as pool:
            replies = await asyncio.gather(*(pool.send(HttpRequest("GET", url)) for _ in range(10)))
            assert [reply.body for reply in replies] == [b"ok"] * 10
            assert pool.stats().opened == 10
        serving.cancel()
        await asyncio.wait([serving])


async def test_a_connection_that_is_closed_before_anything_was_sent_was_not_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    connect = loop.create_connection

    async def connect_and_lose(make: Any, *arguments: Any, **options: Any) -> Any:
        transport, protocol = await connect(make, *arguments, **options)
        await eventually(lambda: protocol.is_closed)
        return transport, protocol

    monkeypatch.setattr(loop, "create_connection", connect_and_lose)
    listener = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with listener, opened() as pool:
        for send in (pool.send, pool.open):
            with pytest.raises(TransportError, match="it accepted the connection and closed it") as caught:
                await send(HttpRequest("GET", f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"))
            assert not caught.value.was_sent
