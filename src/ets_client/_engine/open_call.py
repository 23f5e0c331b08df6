"""A call whose reply streams."""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import TYPE_CHECKING

from .._transport.base import TransportError
from .scope import Scope

if TYPE_CHECKING:
    from .._transport.base import HttpStream
    from .aborter import Live
    from .deadline import Deadline
    from .outgoing import Outgoing
    from .watchdog import Watchdog

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

    def __init__(
        self,
        outgoing: Outgoing,
        live: Live,
        stream: HttpStream,
        limit: float,
        *,
        deadline: Deadline,
        watchdog: Watchdog,
    ) -> None:
        """Take over a reply that has begun.

        Args:
            outgoing: what was sent.
            live: the samples and the server that they were sent to.
            stream: the reply.
            limit: seconds within which it should end.
            deadline: of the call.
            watchdog: notices silences, and the deadline.
        """
        self.outgoing = outgoing
        self.live = live
        self.limit = limit
        self.unfinished = set(outgoing.rids)
        self._stream = stream
        self._deadline = math.inf if deadline.at is None else deadline.at
        self._watchdog = watchdog

    async def chunk(self) -> bytes | None:
        """The next piece of the reply, or None at its end.

        Cancelling this leaves the connection open and loses nothing: SGLang 0.5.18 forgets the request ids of a stream
        that was closed, so that nothing could abort its samples any more.

        Raises:
            TransportError: the connection broke, nothing came for too long, or the client was closed meanwhile.
            TimeoutError: the call is out of time.
        """
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine of ours runs in one
        start = loop.time()
        if start >= self._deadline:
            raise TimeoutError
        silence = _Silence(task, start, self._deadline, self.limit)
        self._watchdog.watch(silence)
        try:
            return await self._stream.piece()
        except asyncio.CancelledError:
            if not silence.leave():
                raise
        finally:
            self._watchdog.forget(silence)
            silence.leave()
        now = loop.time()
        if now >= self._deadline:
            raise TimeoutError
        if now < silence.due():  # all was ended
            raise TransportError("the stream was closed", was_sent=True)
        message = f"nothing came for {self.limit:.3g} s, much longer than it should take"
        raise TransportError(message, was_sent=True)

    async def aclose(self) -> None:
        """Close the connection, or give it back for the next call when all samples have ended."""
        try:
            if not self.unfinished:
                # What is left is the mark of the end, which the server sends at once.
                with contextlib.suppress(TransportError, TimeoutError):
                    async with asyncio.timeout(_END_SECONDS):
                        while await self._stream.piece() is not None:
                            pass
        finally:
            await self._stream.aclose()


class _Silence(Scope):
    """A wait for the next piece, as the watchdog sees it. Tasks and timers for each took a third of a stream's CPU."""

    __slots__ = ("_due", "deadline", "start")

    def __init__(self, task: asyncio.Task[object], start: float, deadline: float, limit: float) -> None:
        super().__init__(task)
        self.start = start
        self.deadline = deadline
        self._due = start + limit

    def due(self) -> float:
        return self._due
