"""Our pool behind httpx's interface."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import httpx

from .base import TransportError
from .head import head_with_length, write_head
from .mocks import MockWatch
from .origin import DEFAULT_PORTS, Origin, Target
from .pool import Pool
from .tls import tls_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

    from .connection import Connection
    from .lane import Lane
    from .pool_stream import PoolStream

__all__ = ["PoolTransport"]


class PoolTransport(httpx.AsyncBaseTransport):
    """The connections of an :class:`AsyncPolicyClient` for any ``httpx.AsyncClient(transport=...)``.

    HTTP/1.1 without proxies. httpx's four timeouts hold; its exceptions are raised. A request whose body is an
    iterator is read to its end before it is sent. One event loop.
    """

    def __init__(
        self,
        *,
        connections: int = 256,
        keep_alive_seconds: float = 5.0,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """Open no connection yet.

        Args:
            connections: most connections to one server.
            keep_alive_seconds: how long the server keeps an idle connection; ours are closed at 60 % of it.
            ssl_context: for https; None checks certificates against the machine's authorities.
        """
        self._pool = Pool(
            connections=connections,
            keep_alive_seconds=keep_alive_seconds,
            connect_seconds=None,  # httpx's own timeout holds
            tls=tls_context if ssl_context is None else lambda: ssl_context,
        )
        self._ssl_context = ssl_context
        self._watch = MockWatch()
        self._mocked: httpx.AsyncHTTPTransport | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; httpx calls this.

        Cancelling it closes its connection, or gives up its place in the queue.

        Raises:
            httpx.TransportError: there was no reply.
        """
        if self._watch.is_mocked():  # what respx and pytest-httpx replace is httpx's own transport
            if self._mocked is None:
                self._mocked = httpx.AsyncHTTPTransport(verify=self._ssl_context or True)
            return await self._mocked.handle_async_request(request)
        timeouts: dict[str, float | None] = request.extensions.get("timeout", {})
        body = await request.aread()
        if request.url.scheme not in {"http", "https"}:
            raise httpx.UnsupportedProtocol(f"{request.url.scheme}: http or https")
        try:
            lane, head = self._route(request, body)
        except TransportError as error:
            raise httpx.LocalProtocolError(str(error)) from error
        async with _within(timeouts.get("pool"), httpx.PoolTimeout("no connection became free")):
            connection = await lane.admit()
        try:
            if connection is None:
                async with _within(timeouts.get("connect"), httpx.ConnectTimeout("could not connect in time")):
                    connection = await lane.connect()
            async with _within(timeouts.get("read"), httpx.ReadTimeout("no reply in time")):
                stream = await self._pool.stream(
                    lane, connection, head, body, math.inf, skips_body=request.method == "HEAD"
                )
        except BaseException as error:
            _release(lane, connection)
            if isinstance(error, TransportError):
                raise _httpx_error(error) from error
            raise
        return httpx.Response(
            stream.status,
            headers=stream.raw_headers,
            stream=_Body(stream, timeouts.get("read")),
            extensions={"http_version": b"HTTP/1.1"},
        )

    async def aclose(self) -> None:
        """Close all connections."""
        try:
            await self._pool.aclose()
        finally:
            if self._mocked is not None:
                await self._mocked.aclose()

    def _route(self, request: httpx.Request, body: bytes) -> tuple[Lane, bytes]:
        url, host = request.url, request.url.raw_host.decode("ascii")  # httpx has parsed it and escaped what must be
        port = url.port if url.port is not None else DEFAULT_PORTS[url.scheme]
        target = Target(Origin(url.scheme, host, port), url.netloc.decode("ascii"), url.raw_path.decode("ascii"))
        headers = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in request.headers.raw
            if name.lower() not in {b"content-length", b"transfer-encoding"}
        ]
        head = write_head(request.method, target, headers)
        return self._pool.lane("work", target.origin), head_with_length(request.method, head, len(body))


class _Body(httpx.AsyncByteStream):
    """The body of a reply as httpx reads it."""

    def __init__(self, stream: PoolStream, seconds: float | None) -> None:
        self._stream = stream
        self._seconds = seconds

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = self._stream.chunks()
        try:
            while True:
                async with _within(self._seconds, httpx.ReadTimeout("the reply stopped")):
                    piece = await anext(pieces, None)
                if piece is None:
                    return
                yield piece
        except TransportError as error:
            raise _httpx_error(error) from error

    async def aclose(self) -> None:
        await self._stream.aclose()


class _within:  # noqa: N801 - reads as a statement, like asyncio.timeout
    """:func:`asyncio.timeout` that raises an exception of httpx."""

    __slots__ = ("_error", "_timeout")

    def __init__(self, seconds: float | None, error: httpx.TimeoutException) -> None:
        self._timeout = asyncio.timeout(seconds)
        self._error = error

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, *raised: object) -> None:
        try:
            await self._timeout.__aexit__(*raised)  # type: ignore[arg-type]
        except TimeoutError:
            raise self._error from None


def _release(lane: Lane, connection: Connection | None) -> None:
    if connection is not None:
        connection.close()
    lane.give_back(connection)


def _httpx_error(error: TransportError) -> httpx.TransportError:
    if not error.was_sent:
        return httpx.ConnectError(str(error))
    if isinstance(error.__cause__, OSError):
        return httpx.ReadError(str(error))
    return httpx.RemoteProtocolError(str(error))
