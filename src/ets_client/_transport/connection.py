"""One connection: one exchange at a time."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, cast

from .base import HttpReply, TransportError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from .intake import Intake
    from .lane import Lane
    from .reply import ReplyReader

__all__ = ["Connection"]

_PIECE = 64 * 1024  # of a request's body; asyncio asks to wait when more than this is unsent
_MOST_UNREAD = 256 * 1024  # of a stream; then the server is made to wait
_KEEP_ALIVE = (60, 60, 5)  # seconds idle, seconds between probes, probes: shorter than what NATs forget after (350 s)


class Connection(asyncio.BufferedProtocol):
    """A socket with HTTP/1.1 on it. Whoever borrowed it from its lane is its only user.

    Attributes:
        is_closed: nothing can be sent any more.
        is_complete: all of the reply has come. True also before the first exchange.
        exchanges: requests begun on it.
    """

    __slots__ = (
        "_broken",
        "_descriptor",
        "_has_sent",
        "_intake",
        "_is_clean",
        "_is_paused",
        "_is_stream",
        "_is_unwritable",
        "_lane",
        "_loop",
        "_most_body",
        "_reader",
        "_reply",
        "_skips_body",
        "_taken",
        "_transport",
        "_waiter",
        "exchanges",
        "is_closed",
        "is_complete",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, intake: Intake, lane: Lane) -> None:
        """Make it; asyncio connects it.

        Args:
            loop: whose it is.
            intake: what replies are read with.
            lane: told when its socket is closed, by whomever.
        """
        self._loop = loop
        self._intake = intake
        self._lane = lane
        self._transport: asyncio.Transport | None = None
        self._descriptor = -1
        self._waiter: asyncio.Future[None] | None = None
        self._broken: TransportError | None = None
        self._reader: ReplyReader | None = None  # while a reply comes, and until a stream's body was taken
        self._reply: HttpReply | None = None  # complete, and not yet fetched
        self._most_body: float = 0
        self._skips_body = False
        self._is_stream = False
        self._is_clean = True
        self._is_paused = False
        self._is_unwritable = False
        self._has_sent = True
        self._taken = 0
        self.exchanges = 0
        self.is_closed = False
        self.is_complete = True

    # -- for lanes ----------------------------------------------------------------------------------------------

    def is_alive(self) -> bool:
        """Whether a request may go out on it.

        The kernel is asked (1 µs), because the loop may not have seen yet that the server closed.
        """
        return not self.is_closed and not self._intake.has_news(self._descriptor)

    def is_reusable(self) -> bool:
        """Whether its exchange is over, both ways, and left it clean."""
        return not self.is_closed and self.is_complete and self._is_clean and self._has_sent

    def ending(self) -> asyncio.Future[None] | None:
        """What tells of news of a request that was given up, whose reply is dropped, or None.

        None when it is over, when it has not gone out in full and so never runs, and when it is a stream.
        """
        self._reply = None
        if self.is_closed or self.is_complete or self._is_stream or not self._has_sent:
            return None
        return self.progress()

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

    def send(self, head: bytes, body: bytes, most_body: float) -> Coroutine[None, None, None] | None:
        """Send a request whose reply is to be fetched as a whole. If not, the connection is to be closed.

        Args:
            head: all before the body.
            body: all of it.
            most_body: bytes that the reply's body may have.

        Returns:
            What sends the rest of a large one, to be awaited at once.

        Raises:
            TransportError: from what is returned: the connection broke.
        """
        self._begin(most_body, is_stream=False)
        self._write(head, body)
        return None if self._has_sent else self._write_rest(body)

    def fetch(self) -> HttpReply | None:
        """The whole reply, once; None before it is here: :meth:`progress` is to be awaited."""
        reply, self._reply = self._reply, None
        return reply

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
        self._begin(most_body, is_stream=True, skips_body=skips_body)
        self._write(head, body)
        if not self._has_sent:
            await self._write_rest(body)
        del head, body
        while self._reader is None or not self._reader.status:
            await self.progress()
        return self._reader

    def take(self) -> bytes:
        """What is here of a stream's body and was not taken before, possibly nothing."""
        reader = self._reader
        if reader is None:
            return b""
        self._taken = reader.size
        if self._is_paused and self._transport is not None and not self.is_closed:
            self._is_paused = False
            self._transport.resume_reading()
        piece = reader.take()
        if self.is_complete:
            self._let_go(reader)
        return piece

    def progress(self) -> asyncio.Future[None]:
        """What to await for anything to happen.

        Raises:
            TransportError: the connection is broken.
        """
        if self._broken is not None:
            raise self._broken
        self._waiter = self._loop.create_future()
        return self._waiter

    # -- asyncio ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is connected."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        raw: socket.socket = transport.get_extra_info("socket")
        self._descriptor = raw.fileno()
        idle, interval, count = _KEEP_ALIVE
        with contextlib.suppress(OSError):  # the server may be gone again
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, count)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Where to read to."""
        return self._intake.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes of a reply."""
        if self.is_complete:
            self.close()  # nobody asked for these
            return
        reader = self._reading()
        try:
            reader.feed(self._intake.buffer[:nbytes])
        except TransportError as error:
            self.close(error)
            return
        if reader.is_complete:
            self._complete(reader)
        elif self._is_stream:
            self._stream(reader)

    def eof_received(self) -> None:
        """The server closed its side; asyncio closes ours."""
        self.is_closed = True
        if not self.is_complete:
            reader = self._reading()
            try:
                reader.feed_eof()
            except TransportError as error:
                self._break(error)
            else:
                self._complete(reader)
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        if not self.is_complete and self._broken is None:
            error = TransportError(f"the connection broke: {exc or 'it was closed'}", was_sent=True)
            error.__cause__ = exc
            self._break(error)
        self.is_closed = True
        self._wake()
        self._transport = None
        if self._reader is not None:
            self._reader.close()
        self._lane.lost(self)

    def pause_writing(self) -> None:
        """Much is unsent."""
        self._is_unwritable = True

    def resume_writing(self) -> None:
        """It has gone out."""
        self._is_unwritable = False
        self._wake()

    # -- parts --------------------------------------------------------------------------------------------------

    def _begin(self, most_body: float, *, is_stream: bool, skips_body: bool = False) -> None:
        self.exchanges += 1
        self._most_body = most_body
        self._is_stream = is_stream
        self._skips_body = skips_body
        self._taken = 0
        self.is_complete = False

    def _write(self, head: bytes, body: bytes) -> None:
        assert self._transport is not None  # noqa: S101 - it is alive
        self._has_sent = len(body) <= _PIECE
        # One write, so that a small request is one packet; joining 3 KB costs less than a second system call.
        self._transport.write(head + body if self._has_sent else head)

    async def _write_rest(self, body: bytes) -> None:
        # A server may answer, or refuse, before it has read everything: then there is no use in sending on.
        view = memoryview(body)
        for start in range(0, len(body), _PIECE):
            while self._is_unwritable and not self.is_closed and not self._is_answered():
                await self.progress()
            if self.is_closed or self._is_answered() or self._transport is None:
                return
            self._transport.write(view[start : start + _PIECE])
        self._has_sent = True

    def _is_answered(self) -> bool:
        return self.is_complete or (self._reader is not None and self._reader.status != 0)

    def _reading(self) -> ReplyReader:
        """What reads the reply, from its first byte."""
        if self._reader is None:
            self._reader = self._intake.reader()
            self._reader.begin(self._most_body, streams=self._is_stream, skips_body=self._skips_body)
        return self._reader

    def _complete(self, reader: ReplyReader) -> None:
        self.is_complete, self._is_clean = True, reader.keeps_alive
        if not self._is_stream:
            self._reply = HttpReply(reader.status, reader.take(), reader.headers())
            self._let_go(reader)
        self._wake()

    def _let_go(self, reader: ReplyReader) -> None:
        self._reader = None
        self._intake.give_back(reader)

    def _stream(self, reader: ReplyReader) -> None:
        if reader.size - self._taken > _MOST_UNREAD and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def _break(self, error: TransportError) -> None:
        # The server read nothing of this, most likely: it had closed an idle connection just then.
        error.was_idle = self.exchanges > 1 and (self._reader is None or not self._reader.has_begun)
        self._broken = error

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
