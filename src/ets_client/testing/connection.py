"""HTTP/1.1 on a socket, as uvicorn does it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, Protocol, cast

import httptools

from .exchange import Exchange

if TYPE_CHECKING:
    from .timing import Clock, Timer

__all__ = ["Connection", "Handler"]

_MOST_PIPELINED = 16


class Handler(Protocol):
    """What a connection needs of its server."""

    clock: Clock
    keep_alive_seconds: float

    def opened(self, connection: Connection) -> None:
        """A client connected."""
        ...

    def closed(self, connection: Connection) -> None:
        """It is gone."""
        ...

    def handle(self, exchange: Exchange) -> None:
        """A whole request came. The reply may be given now or later."""
        ...


class Connection(asyncio.Protocol):
    """One client. Requests that come before the last one is answered wait for their turn."""

    def __init__(self, handler: Handler) -> None:
        self.clock = handler.clock
        self.is_lost = False
        self._handler = handler
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._current: Exchange | None = None
        self._waiting: deque[Exchange] = deque()
        self._idle_since = 0.0
        self._idle_timer: Timer | None = None

    # -- asyncio ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        self._handler.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """It left, or was sent away."""
        self.is_lost = True
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._handler.closed(self)
        for exchange in (self._current, *self._waiting):
            if exchange is not None:
                exchange.lost()

    def data_received(self, data: bytes) -> None:
        """Bytes of requests."""
        self._idle_since = -1.0
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError:
            self.write(
                b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 31\r\n"
                b"connection: close\r\n\r\nInvalid HTTP request received."
            )
            self.close()

    # -- httptools ----------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins."""
        self._url, self._headers, self._body = b"", {}, []

    def on_url(self, url: bytes) -> None:
        """A piece of its target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """The body follows."""
        if self._headers.get(b"expect", b"").lower() == b"100-continue":
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """A piece of it."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """A request is here in full."""
        path, _, query = self._url.decode("latin-1").partition("?")
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        exchange = Exchange(
            self,
            self._parser.get_method().decode("ascii"),
            path,
            query,
            self._headers,
            body,
            keeps_alive=self._parser.should_keep_alive(),
        )
        if self._current is None:
            self._begin(exchange)
            return
        self._waiting.append(exchange)
        if len(self._waiting) >= _MOST_PIPELINED and self._transport is not None:
            self._transport.pause_reading()

    # -- for exchanges and servers ------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if self._transport is not None and not self.is_lost:
            self._transport.write(data)

    def close(self) -> None:
        """Close in order: what was written goes out first."""
        if self._transport is not None:
            self._transport.close()

    def drop(self) -> None:
        """Close at once, as the kernel does when a process ends; what was not sent is lost."""
        if self._transport is not None:
            self._transport.abort()

    def reset(self) -> None:
        """Close with an RST."""
        if self._transport is None:
            return
        raw: socket.socket | None = self._transport.get_extra_info("socket")
        if raw is not None:
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def finished(self, exchange: Exchange) -> None:
        """A reply is out; the next request is begun."""
        if not exchange.keeps_alive:
            self.close()
            return
        if self._waiting:
            self._current = self._waiting.popleft()
            if len(self._waiting) == _MOST_PIPELINED - 1 and self._transport is not None:
                self._transport.resume_reading()
            self.clock.call_later(0, self._follow)  # later: a thousand of them would be a thousand calls deep
            return
        self._current = None
        self._idle_since = self.clock.now()
        if self._idle_timer is None:
            self._idle_timer = self.clock.call_later(self._handler.keep_alive_seconds, self._check_idle)

    def _follow(self) -> None:
        if self._current is not None and not self.is_lost:
            self._handler.handle(self._current)

    def _begin(self, exchange: Exchange) -> None:
        self._current = exchange
        self._handler.handle(exchange)

    def _check_idle(self) -> None:
        # One timer looks from time to time: a timer for each request would cost more than the request.
        self._idle_timer = None
        if self.is_lost or self._current is not None or self._idle_since < 0:
            return
        left = self._idle_since + self._handler.keep_alive_seconds - self.clock.now()
        if left <= 1e-6:
            self.close()
        else:
            self._idle_timer = self.clock.call_later(left, self._check_idle)
