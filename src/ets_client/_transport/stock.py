"""httpx's own client behind the seam. All httpx imports of the package are in this folder."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

from .base import SMALL_LANES, HttpReply, HttpRequest, HttpStream, TransportError, TransportStats

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Mapping

__all__ = ["StockTransport"]

_CONNECT_SECONDS = 10.0
# httpx closes surplus idle connections by the number of all connections, so that 100/20 opens a new one for nearly
# every request (encode/httpcore#1000): the two limits are kept equal.
_NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.InvalidURL,
)


class StockTransport:
    """Pools of httpx: one for work, and small ones so that neither an abort nor a text waits behind a generation."""

    def __init__(
        self, *, connections: int, keep_alive_seconds: float, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        """Open no connection yet.

        Args:
            connections: most connections for work.
            keep_alive_seconds: how long the server keeps an idle connection. Ours are dropped at 60 % of it: at equal
                times every client loses requests to the race (13 of 1,500 with aiohttp), at 60 % none did.
            transport: an httpx transport to use for everything instead of the pools. It is left open at the end.
        """
        expiry = 0.6 * keep_alive_seconds
        timeout = httpx.Timeout(None, connect=_CONNECT_SECONDS)
        given = None if transport is None else _Borrowed(transport)

        def pool(size: int) -> httpx.AsyncClient:
            limits = httpx.Limits(max_connections=size, max_keepalive_connections=size, keepalive_expiry=expiry)
            # trust_env: a cluster's proxy settings would swallow private hosts.
            return httpx.AsyncClient(limits=limits, timeout=timeout, trust_env=False, transport=given)

        self._pools = {lane: pool(size) for lane, size in {"work": connections, **SMALL_LANES}.items()}
        self._requests = self._sent = self._received = 0

    async def send(self, request: HttpRequest) -> HttpReply:
        """Send one request and wait for the whole reply.

        Raises:
            TransportError: there was none.
        """
        pool = self._pools[request.lane]
        _tell_sent(request)
        with _transport_errors():
            reply = await pool.request(request.method, request.url, headers=request.headers, content=request.body)
        self._requests += 1
        self._sent += len(request.body)
        self._received += len(reply.content)
        return HttpReply(reply.status_code, reply.content, reply.headers)

    async def open(self, request: HttpRequest) -> HttpStream:
        """Send one request and wait for the header of the reply.

        Raises:
            TransportError: there was none.
        """
        pool = self._pools[request.lane]
        _tell_sent(request)
        with _transport_errors():
            outgoing = pool.build_request(request.method, request.url, headers=request.headers, content=request.body)
            return _StockStream(await pool.send(outgoing, stream=True))

    def stats(self) -> TransportStats:
        """What went through; httpx does not tell of its connections, nor are streams counted."""
        return TransportStats(requests=self._requests, sent_bytes=self._sent, received_bytes=self._received)

    async def aclose(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            await pool.aclose()


class _StockStream:
    """A streamed response of httpx."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._bytes = response.aiter_bytes()
        self._reading: asyncio.Task[bytes | None] | None = None

    @property
    def status(self) -> int:
        return self._response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    async def piece(self) -> bytes | None:
        # httpx closes a response whose reading is cancelled, so that a task of its own reads.
        if self._reading is None:
            self._reading = asyncio.get_running_loop().create_task(self._next())
        await asyncio.wait([self._reading])
        reading, self._reading = self._reading, None
        if reading.cancelled():  # by aclose(): nobody cancelled the caller
            raise TransportError("the stream is closed", was_sent=True)
        return reading.result()

    async def chunks(self) -> AsyncIterator[bytes]:
        while (piece := await self.piece()) is not None:
            yield piece

    async def aclose(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._response.aclose()

    async def _next(self) -> bytes | None:
        with _transport_errors():
            return await anext(self._bytes, None)


class _Borrowed(httpx.AsyncBaseTransport):
    """A transport of the user's, which stays open when our client closes."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._transport.handle_async_request(request)


def _tell_sent(request: HttpRequest) -> None:
    if request.on_sent is not None:
        request.on_sent()  # httpx does not tell when a request has got its connection


@contextmanager
def _transport_errors() -> Generator[None]:
    """Turn httpx's exceptions into ours."""
    try:
        yield
    except _NOT_SENT as error:
        raise TransportError(_words(error), was_sent=False) from error
    except httpx.HTTPError as error:
        raise TransportError(_words(error), was_sent=True) from error


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
