"""HTTP/1.1 on a socket, as uvicorn does it, and able to break at any byte."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol, cast

import httptools

from .faults import Cut, Garbage, Reset, Slow, Stall

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .faults import Fault
    from .timing import Clock, Timer

__all__ = ["Connection", "Exchange", "Handler"]

_PHRASES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_MOST_PIPELINED = 16
_GARBAGE = b"\x00\xfe<garbage>\xff"


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


class Exchange:
    """One request and its reply.

    Attributes:
        method: of the request.
        path: without the query.
        query: the query, raw.
        headers: names in lower case.
        body: all of it.
        fault: what will happen to the reply.
        on_disconnect: called when the client leaves before the reply is complete.
        status: of the reply, once it is given.
    """

    __slots__ = (
        "_connection",
        "_held",
        "_is_chunked",
        "_is_ended",
        "_sent",
        "_timer",
        "body",
        "fault",
        "headers",
        "keeps_alive",
        "method",
        "on_disconnect",
        "path",
        "query",
        "status",
    )

    def __init__(
        self,
        connection: Connection,
        method: str,
        path: str,
        query: str,
        headers: Mapping[bytes, bytes],
        body: bytes,
        *,
        keeps_alive: bool,
    ) -> None:
        self._connection = connection
        self._is_chunked = False
        self._is_ended = False
        self._sent = 0
        self._held = b""
        self._timer: Timer | None = None
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.keeps_alive = keeps_alive
        self.fault: Fault | None = None
        self.on_disconnect: Callable[[], None] | None = None
        self.status: int | None = None

    @property
    def is_gone(self) -> bool:
        """Whether the client left."""
        return self._connection.is_lost

    def reply(
        self,
        status: int,
        body: bytes = b"",
        content_type: str | None = "application/json",
        *,
        closes: bool = False,
        more: bytes = b"",
    ) -> None:
        """Answer at once.

        Args:
            status: HTTP status.
            body: all of it.
            content_type: header, or None for none.
            closes: the connection ends with this reply.
            more: header lines, each with its line end.
        """
        if isinstance(self.fault, Garbage):
            body = (_GARBAGE * (self.fault.size // len(_GARBAGE) + 1))[: self.fault.size]
        elif isinstance(self.fault, Cut):
            body = body[: int(len(body) * self.fault.share)]
        self.status = status
        self.keeps_alive = self.keeps_alive and not closes
        head = _PHRASES[status] + b"server: uvicorn\r\ncontent-length: %d\r\n" % len(body)
        if content_type is not None:
            head += b"content-type: %s\r\n" % content_type.encode()
        if not self.keeps_alive:
            head += b"connection: close\r\n"
        self._put(head + more + b"\r\n" + (b"" if self.method == "HEAD" else body), is_last=True)

    def start(self, content_type: str) -> None:
        """Begin a reply of unknown length."""
        self.status = 200
        self._is_chunked = True
        head = _PHRASES[200] + b"server: uvicorn\r\ncontent-type: %s\r\n" % content_type.encode()
        self._put(head + b"transfer-encoding: chunked\r\n\r\n")

    def write(self, data: bytes) -> None:
        """Send a piece of a reply that was begun."""
        if isinstance(self.fault, Garbage):
            data = _GARBAGE
        self._put(b"%x\r\n%s\r\n" % (len(data), data))

    def end(self) -> None:
        """Complete a reply that was begun."""
        if isinstance(self.fault, Cut):
            self.break_off()
        else:
            self._put(b"0\r\n\r\n", is_last=True)

    def break_off(self) -> None:
        """Close the connection in the middle."""
        self._is_ended = True
        self._connection.close()

    def raw(self, data: bytes) -> None:
        """Send bytes that need be no reply, and close the connection."""
        self._is_ended = True
        self._connection.write(data)
        self._connection.close()

    def reset(self) -> None:
        """Reset the connection."""
        self._is_ended = True
        self._connection.reset()

    def lost(self) -> None:
        """The client left; for the connection to call."""
        if self._timer is not None:
            self._timer.cancel()
        if not self._is_ended and self.on_disconnect is not None:
            self.on_disconnect()

    def _put(self, data: bytes, *, is_last: bool = False) -> None:
        if self._is_ended or self._connection.is_lost:
            return
        fault = self.fault
        if fault is None:
            self._connection.write(data)
        elif isinstance(fault, Reset | Stall) and fault.after is not None and self._sent + len(data) >= fault.after:
            self._connection.write(data[: fault.after - self._sent])
            self._is_ended = True
            if isinstance(fault, Reset):
                self._connection.reset()
            return
        elif isinstance(fault, Slow):
            self._held += data
            self._is_ended = is_last
            if self._timer is None:
                self._drip(fault)
            return
        else:
            self._connection.write(data)
        self._sent += len(data)
        if is_last:
            self._finish()

    def _drip(self, fault: Slow) -> None:
        self._timer = None
        piece, self._held = self._held[: fault.bytes_at_once], self._held[fault.bytes_at_once :]
        self._connection.write(piece)
        if self._held:
            self._timer = self._connection.clock.call_later(fault.seconds, lambda: self._drip(fault))
        elif self._is_ended:
            self._finish()

    def _finish(self) -> None:
        self._is_ended = True
        self._connection.finished(self)


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
