"""One request and its reply, which can break at any byte."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from .faults import Cut, Garbage, Reset, Slow, Stall

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .connection import Connection
    from .faults import Fault
    from .timing import Timer

__all__ = ["Exchange"]

_PHRASES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_GARBAGE = b"\x00\xfe<garbage>\xff"


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
