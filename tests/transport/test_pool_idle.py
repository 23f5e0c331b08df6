"""The race between a server that closes idle connections and a client that uses them."""

from __future__ import annotations

import asyncio
import random

import pytest

from ets_client._transport.base import HttpReply, HttpRequest, TransportError
from tests.transport.pools import opened
from tests.transport.servers import OK, SocketServer, answer_ok, hang_up

IDLE_SECONDS = 0.05
REQUESTS = 10_000
WORKERS = 100
BODY = 3000


class Uvicorn(asyncio.Protocol):
    """Closes a connection that was idle for 50 ms after a reply, as uvicorn does; never one that has had no request."""

    def __init__(self) -> None:
        self._left = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._left:
            self._left = data.index(b"\r\n\r\n") + 4 + BODY
        self._left -= len(data)
        if not self._left:
            self._transport.write(OK)
            self._timer = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._transport.close)


async def race(keep_alive_seconds: float) -> dict[str, int]:
    """Requests at random times around the server's 50 ms; one that broke as idle is sent once more."""
    chance = random.Random(1)
    counts = {"replies": 0, "idle": 0, "other": 0, "lost": 0}
    listener = await asyncio.get_running_loop().create_server(Uvicorn, "127.0.0.1", 0)
    request = HttpRequest("POST", f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", body=bytes(BODY))

    async with listener, opened(WORKERS, keep_alive_seconds) as pool:

        async def once() -> HttpReply | None:
            try:
                return await pool.send(request)
            except TransportError as error:
                counts["idle" if error.was_idle else "other"] += 1
                return None

        async def work() -> None:
            for _ in range(REQUESTS // WORKERS):
                await asyncio.sleep(IDLE_SECONDS * chance.uniform(0.5, 1.2))  # the race itself: not a wait for anything
                reply = await once() or await once()
                counts["replies" if reply else "lost"] += 1

        await asyncio.gather(*(work() for _ in range(WORKERS)))
    return counts


async def test_a_pool_that_knows_the_servers_time_loses_no_request() -> None:
    counts = await race(IDLE_SECONDS)
    assert (counts["other"], counts["lost"], counts["replies"]) == (0, 0, REQUESTS)


async def test_a_pool_that_does_not_know_it_loses_idle_connections_alone_and_one_resend_heals_all() -> None:
    counts = await race(keep_alive_seconds=60)
    assert (counts["other"], counts["lost"], counts["replies"]) == (0, 0, REQUESTS)


async def test_a_connection_that_broke_as_idle_takes_the_older_idle_ones_with_it() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await (hang_up if is_over else answer_ok)(reader, writer)

    is_over = False
    async with SocketServer(serve).run() as server, opened(8) as pool:
        await asyncio.gather(*(pool.send(HttpRequest("GET", server.url)) for _ in range(8)))
        assert pool.stats().idle == 8
        is_over = True
        with pytest.raises(TransportError) as caught:
            await pool.send(HttpRequest("GET", server.url))
        assert caught.value.was_idle
        assert pool.stats().idle == 0
