"""What the connections of a pool read with: one buffer, and a few parsers."""

from __future__ import annotations

import select

from .reply import ReplyReader

__all__ = ["Intake"]

_READ_SIZE = 64 * 1024
_KEPT = 64  # a burst of streams needs more for a moment
_NO_HEADERS: list[tuple[bytes, bytes]] = []
_NO_PIECES: list[bytes] = []


class Intake:
    """Shared by all connections of a pool, so that one which waits for its reply holds nothing to read it with.

    A parser belongs to a connection only from the first byte of a reply to its last. With one for each connection,
    4,096 requests in flight held 13 objects and 1 kB each for bytes that had not come.

    Those that are kept were made before the first request, side by side, and hold nothing of their last reply: made in
    the middle of a burst, 64 parsers with their headers were 1,500 objects that kept 17 arenas of CPython's. As the
    first that are taken are the first that come back, they stay the same ones.

    Attributes:
        buffer: to read into; what comes is parsed before the next read.
    """

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(_READ_SIZE))
        self._spare = [ReplyReader() for _ in range(_KEPT)]
        self._poll = select.poll()

    def reader(self) -> ReplyReader:
        """A reader on which no reply is."""
        return self._spare.pop() if self._spare else ReplyReader()

    def give_back(self, reader: ReplyReader) -> None:
        """Take a reader whose reply is complete and fetched."""
        if reader.is_open and reader.keeps_alive and len(self._spare) < _KEPT:
            reader.raw_headers, reader.pieces, reader.size = _NO_HEADERS, _NO_PIECES, 0
            self._spare.append(reader)
        else:
            reader.close()

    def has_news(self, descriptor: int) -> bool:
        """Whether the kernel has bytes, or the end, of a socket for the event loop (1 µs)."""
        self._poll.register(descriptor, select.POLLIN)
        try:
            return bool(self._poll.poll(0))
        finally:
            self._poll.unregister(descriptor)

    def close(self) -> None:
        """Keep nothing."""
        while self._spare:
            self._spare.pop().close()
