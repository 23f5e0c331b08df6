"""A streamed reply on a connection of a pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import TransportError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from .connection import Connection
    from .lane import Lane
    from .reply import ReplyReader

__all__ = ["PoolStream"]


class PoolStream:
    """A reply whose body comes piece by piece. It holds a connection until it is closed.

    When nobody takes the pieces, the server is made to wait: 256 KiB are kept, and what one read brings.
    """

    def __init__(self, lane: Lane, connection: Connection, reader: ReplyReader, count: Callable[[int], None]) -> None:
        """Take over a connection on which the head of a reply has come.

        Args:
            lane: the connection's.
            connection: borrowed.
            reader: what reads it; the connection lets it go when all of the body has come and was taken.
            count: told the size of each piece that is taken.
        """
        self._lane = lane
        self._connection: Connection | None = connection
        self._count = count
        self.raw_headers = reader.raw_headers
        self._status = reader.status
        self._headers = reader.headers()

    @property
    def status(self) -> int:
        """Its HTTP status."""
        return self._status

    @property
    def headers(self) -> Mapping[str, str]:
        """Its headers, by name in lower case."""
        return self._headers

    async def piece(self) -> bytes | None:
        """The next piece of the body, or None at its end. A wait that was cancelled lost nothing: ask again.

        Raises:
            TransportError: the connection broke, or the stream was closed.
        """
        while True:
            connection = self._connection  # closing gives it to somebody else
            if connection is None:
                raise TransportError("the stream is closed", was_sent=True)
            piece = connection.take()
            if piece:
                self._count(len(piece))
                return piece
            if connection.is_complete:
                return None
            await connection.progress()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body's pieces as they come; see :meth:`piece`."""
        while (piece := await self.piece()) is not None:
            yield piece

    async def aclose(self) -> None:
        """Give the connection back when all of the body has come, else close it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.take()
            self._lane.give_back(connection)
