"""One connection: one exchange at a time."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
from typing import TYPE_CHECKING, cast

from .base import HttpReply, TransportError
from .reply import ReplyReader

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["READ_SIZE", "Connection"]

READ_SIZE = 64 * 1024
_PIECE = 64 * 1024  # of a request's body; asyncio asks to wait when more than this is unsent
_MOST_UNREAD = 256 * 1024  # of a stream; then the server is made to wait
_KEEP_ALIVE = (60, 60, 5)  # seconds idle, seconds between probes, probes: shorter than what NATs forget after (350 s)


class Connection(asyncio.BufferedProtocol):
    """A socket with HTTP/1.1 on it. Whoever borrowed it from its lane is its only user.

    asyncio reads into one buffer that all connections of a pool share: what comes is parsed before the next read.

    Attributes:
        is_closed: nothing can be sent any more.
        exchanges: requests begun on it.
    """

    __slots__ = (
        "_broken",
        "_buffer",
        "_has_sent",
        "_is_paused",
        "_is_stream",
        "_is_unwritable",
        "_loop",
        "_on_lost",
        "_poll",
        "_reader",
        "_taken",
        "_transport",
        "_waiter",
        "exchanges",
        "is_closed",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, buffer: memoryview, on_lost: Callable[[Connection], None]
    ) -> None:
        """Make it; asyncio connects it.

        Args:
            loop: whose it is.
            buffer: to read into, :data:`READ_SIZE` bytes.
            on_lost: called when its socket is closed, by whomever.
        """
        self._loop = loop
        self._buffer = buffer
        self._on_lost = on_lost
        self._reader = ReplyReader()
        self._transport: asyncio.Transport | None = None
        self._poll = select.poll()
        self._waiter: asyncio.Future[None] | None = None
        self._broken: TransportError | None = None
        self._has_sent = True
        self._is_stream = False
        self._is_paused = False
        self._is_unwritable = False
        self._taken = 0
        self.exchanges = 0
        self.is_closed = False

    # -- for lanes ----------------------------------------------------------------------------------------------

    def is_alive(self) -> bool:
        """Whether a request may go out on it.

        The kernel is asked (1 µs), because the loop may not have seen yet that the server closed.
        """
        return not self.is_closed and not self._poll.poll(0)

    def is_reusable(self) -> bool:
        """Whether its exchange is over, both ways, and left it clean."""
        reader = self._reader
        return not self.is_closed and reader.is_complete and reader.keeps_alive and self._has_sent

    def was_stale(self) -> bool:
        """Whether it broke because the server had closed it while it was idle."""
        return self._broken is not None and self._broken.was_idle

    def close(self, reason: TransportError | None = None) -> None:
        """Close it at once. A request that is on it ends with the reason."""
        self.is_closed = True
        if self._broken is None:
            self._broken = reason or TransportError("the connection was closed here", was_sent=True)
        if self._transport is not None:
            # Nothing is worth flushing: a request is either answered or given up. Nor is TLS's farewell, which waits.
            self._transport.abort()
        self._wake()

    # -- for whoever borrowed it --------------------------------------------------------------------------------

    async def send(self, head: bytes, body: bytes, most_body: float) -> HttpReply:
        """Send a request and read the whole reply. Anything but a return leaves the connection to be closed.

        Args:
            head: all before the body.
            body: all of it.
            most_body: bytes that the reply's body may have.

        Raises:
            TransportError: there was no complete reply.
        """
        reader = self._begin(most_body, is_stream=False)
        self._write(head, body)
        if not self._has_sent:
            await self._write_rest(body)
        del head, body
        while not reader.is_complete:
            await self.progress()
        return HttpReply(reader.status, reader.take(), reader.headers())

    async def open(self, head: bytes, body: bytes, most_body: float, *, skips_body: bool = False) -> ReplyReader:
        """Send a request and read the head of the reply.

        Args:
            head: all before the body.
            body: all of it.
            most_body: bytes that the body of a reply may have that is not a 2xx, and so no stream.
            skips_body: the request is a HEAD.

        Raises:
            TransportError: there was no reply.
        """
        reader = self._begin(most_body, is_stream=True, skips_body=skips_body)
        self._write(head, body)
        if not self._has_sent:
            await self._write_rest(body)
        while not reader.status:
            await self.progress()
        return reader

    def take(self) -> bytes:
        """What is here of a stream's body and was not taken before, possibly nothing."""
        self._taken = self._reader.size
        if self._is_paused and self._transport is not None and not self.is_closed:
            self._is_paused = False
            self._transport.resume_reading()
        return self._reader.take()

    async def progress(self) -> None:
        """Wait for anything to happen.

        Raises:
            TransportError: the connection is broken.
        """
        if self._broken is not None:
            raise self._broken
        self._waiter = self._loop.create_future()
        await self._waiter

    # -- asyncio ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is connected."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        raw: socket.socket = transport.get_extra_info("socket")
        self._poll.register(raw.fileno(), select.POLLIN)
        idle, interval, count = _KEEP_ALIVE
        with contextlib.suppress(OSError):  # the server may be gone again
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, count)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Where to read to."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes of a reply."""
        reader = self._reader
        if reader.is_complete:
            self.close()  # nobody asked for these
            return
        try:
            reader.feed(self._buffer[:nbytes])
        except TransportError as error:
            self.close(error)
            return
        if reader.is_complete:
            self._wake()
        elif self._is_stream:
            self._stream()

    def eof_received(self) -> None:
        """The server closed its side; asyncio closes ours."""
        if not self._reader.is_complete:
            try:
                self._reader.feed_eof()
            except TransportError as error:
                self._break(error)
        self.is_closed = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        if not self._reader.is_complete and self._broken is None:
            error = TransportError(f"the connection broke: {exc or 'it was closed'}", was_sent=True)
            error.__cause__ = exc
            self._break(error)
        self.is_closed = True
        self._wake()
        self._transport = None
        self._reader.close()
        self._on_lost(self)

    def pause_writing(self) -> None:
        """Much is unsent."""
        self._is_unwritable = True

    def resume_writing(self) -> None:
        """It has gone out."""
        self._is_unwritable = False
        self._wake()

    # -- parts --------------------------------------------------------------------------------------------------

    def _begin(self, most_body: float, *, is_stream: bool, skips_body: bool = False) -> ReplyReader:
        self.exchanges += 1
        self._is_stream = is_stream
        self._taken = 0
        self._reader.begin(most_body, streams=is_stream, skips_body=skips_body)
        return self._reader

    def _write(self, head: bytes, body: bytes) -> None:
        assert self._transport is not None  # noqa: S101 - it is alive
        self._has_sent = len(body) <= _PIECE
        # One write, so that a small request is one packet; joining 3 KB costs less than a second system call.
        self._transport.write(head + body if self._has_sent else head)

    async def _write_rest(self, body: bytes) -> None:
        # A server may answer, or refuse, before it has read everything: then there is no use in sending on.
        reader, view = self._reader, memoryview(body)
        for start in range(0, len(body), _PIECE):
            while self._is_unwritable and not self.is_closed and not reader.status:
                await self.progress()
            if self.is_closed or reader.status or self._transport is None:
                return
            self._transport.write(view[start : start + _PIECE])
        self._has_sent = True

    def _stream(self) -> None:
        if self._reader.size - self._taken > _MOST_UNREAD and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def _break(self, error: TransportError) -> None:
        # The server read nothing of this, most likely: it had closed an idle connection just then.
        error.was_idle = self.exchanges > 1 and not self._reader.has_begun
        self._broken = error

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
