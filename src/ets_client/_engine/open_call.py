"""A call whose reply streams."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from .._transport.base import TransportError

if TYPE_CHECKING:
    from .._transport.base import HttpStream
    from .aborter import Live
    from .outgoing import Outgoing

__all__ = ["OpenCall"]

_END_SECONDS = 1.0


class OpenCall:
    """What was sent, where to, and the reply.

    Attributes:
        outgoing: what was sent.
        live: the samples and the server that they were sent to.
        limit: seconds within which it should end; each silence is given up after as many.
        unfinished: request ids of samples whose end has not come.
    """

    def __init__(self, outgoing: Outgoing, live: Live, stream: HttpStream, limit: float) -> None:
        self.outgoing = outgoing
        self.live = live
        self.limit = limit
        self.unfinished = set(outgoing.rids)
        self._stream = stream
        self._chunks = aiter(stream.chunks())
        self._reading: asyncio.Task[bytes | None] | None = None

    async def chunk(self) -> bytes | None:
        """The next piece of the reply, or None at its end.

        Cancelling this leaves the connection open and loses nothing: SGLang 0.5.18 forgets the request ids of a stream
        that was closed, so that nothing could abort its samples any more.

        Raises:
            TransportError: the connection broke, nothing came for too long, or the client was closed meanwhile.
        """
        if self._reading is None:
            self._reading = asyncio.get_running_loop().create_task(self._next())
        done, _ = await asyncio.wait([self._reading], timeout=self.limit)
        if not done:
            message = f"nothing came for {self.limit:.3g} s, much longer than it should take"
            raise TransportError(message, was_sent=True)
        (reading,), self._reading = done, None
        if reading.cancelled():  # by aclose(): nobody cancelled the caller
            raise TransportError("the stream was closed", was_sent=True)
        return reading.result()

    async def aclose(self) -> None:
        """Close the connection, or give it back for the next call when all samples have ended."""
        try:
            if not self.unfinished:
                # What is left is the mark of the end, which the server sends at once.
                with contextlib.suppress(TransportError, TimeoutError):
                    async with asyncio.timeout(_END_SECONDS):
                        while await self.chunk() is not None:
                            pass
        finally:
            if self._reading is not None:
                self._reading.cancel()
                await asyncio.gather(self._reading, return_exceptions=True)
            await self._stream.aclose()

    async def _next(self) -> bytes | None:
        return await anext(self._chunks, None)
