"""One open stream of samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._transport.base import TransportError
from .._wire.broken import BrokenReplyError
from .._wire.sse import SseReader
from .._wire.stream import StreamFaultError, StreamReader
from ..errors import ServerFaultError
from .caller import ERRORS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from .._wire.stream import StreamedPart
    from ..errors import RequestError
    from .caller import Caller, OpenCall
    from .deadline import Deadline

__all__ = ["SampleStream"]


class SampleStream:
    """Parts of samples as they come. Close it in any case: what has not ended is stopped on the server."""

    def __init__(
        self, caller: Caller, call: OpenCall, samples: int, deadline: Deadline, *, is_incremental: bool
    ) -> None:
        """Follow an open call.

        Args:
            caller: who opened it.
            call: the open call.
            samples: how many it asked for.
            deadline: the end of all of it.
            is_incremental: the server's way to stream.
        """
        self._caller = caller
        self._call = call
        self._deadline = deadline
        self._reader = StreamReader(samples, is_incremental=is_incremental)

    @property
    def rids(self) -> tuple[str, ...]:
        """Request ids of the samples, in order."""
        return self._call.outgoing.rids

    async def parts(self) -> AsyncGenerator[StreamedPart, None]:
        """All parts until every sample has ended.

        Raises:
            RequestError: the stream broke, told of a failure, or the time was over.
        """
        events, chunks = SseReader(), aiter(self._call.stream.chunks())
        while self._reader.unfinished:
            async with self._deadline.limit("the stream did not end"):
                try:
                    chunk = await anext(chunks)
                except StopAsyncIteration:
                    message = f"{len(self._reader.unfinished)} of its {len(self.rids)} samples have no end"
                    raise self._caller.lost(TransportError(message, was_sent=True), self.rids) from None
                except TransportError as error:
                    raise self._caller.lost(error, self.rids) from error
            for payload in events.feed(chunk):
                part = self._read(payload)
                if part is not None:
                    yield part

    async def aclose(self) -> None:
        """End the stream; samples that have not ended are aborted in the background, for at most 2 s."""
        await self._caller.close(self._call, tuple(self.rids[index] for index in self._reader.unfinished))

    def _read(self, payload: bytes) -> StreamedPart | None:
        try:
            return self._reader.read(payload)
        except StreamFaultError as error:
            raise self._error(error) from None
        except BrokenReplyError as error:
            message = f"the stream is not what SGLang sends: {error}"
            raise ServerFaultError(message, rids=self.rids, body=payload[:300].decode(errors="replace")) from None

    def _error(self, error: StreamFaultError) -> RequestError:
        fault = error.fault
        return ERRORS[fault.kind](
            f"the server says: {fault.message}", rids=self.rids, status=error.status, body=fault.body
        )
