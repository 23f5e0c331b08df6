"""One open stream of samples."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from .._transport.base import TransportError
from .._wire.broken import BrokenReplyError
from .._wire.sse import SseReader
from .._wire.stream import StreamFaultError, StreamReader
from ..errors import ConfigurationError, RequestError, ServerFaultError
from .failure import ERRORS

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core.shadow_sample import RunningSample
    from .._wire.stream import StreamedPart
    from ..usage import Usage
    from .caller import Caller
    from .deadline import Deadline
    from .open_call import OpenCall
    from .server_cache import SentSamples

__all__ = ["SampleStream"]


class SampleStream:
    """Parts of samples as they come. Close it in any case: what has not ended is stopped on the server.

    Attributes:
        on_close: called when it is closed, perhaps more than once.
        on_sample: called when a sample has ended, with the number of tokens that it generated; 0 for one that failed.
        warmed: tokens of requests without output that went ahead.
    """

    def __init__(
        self,
        caller: Caller,
        call: OpenCall,
        deadline: Deadline,
        *,
        is_incremental: bool | None,
        sent: SentSamples,
        warmed: Usage,
    ) -> None:
        """Follow an open call.

        Args:
            caller: who opened it.
            call: the open call.
            deadline: the end of all of it.
            is_incremental: the server's way to stream, or None when it is not told.
            sent: the samples as the cache sees them.
            warmed: tokens of requests without output that went ahead.
        """
        self.warmed = warmed
        self._sent = sent
        self._caller = caller
        self._call = call
        self._deadline = deadline
        self._reader = StreamReader(len(call.outgoing.rids), is_incremental=is_incremental)
        self._events = SseReader()
        self._payloads: deque[bytes] = deque()
        self._is_closed = False
        self._why: Exception | None = None
        self._failure: RequestError | None = None  # met behind samples that had ended, and not yet raised
        self.on_close: Callable[[], None] | None = None
        self.on_sample: Callable[[int], None] | None = None

    @property
    def rids(self) -> tuple[str, ...]:
        """Request ids of the samples, in order; none when the server gives them ids of its own."""
        return self._call.outgoing.rids if self._call.outgoing.is_abortable else ()

    @property
    def is_over(self) -> bool:
        """Whether it was closed, or all its samples have ended."""
        return self._is_closed or not self._call.unfinished

    def running(self, place: int) -> RunningSample:
        """A sample as the shadow of the cache has it."""
        return self._sent[place]

    async def part(self) -> StreamedPart | None:
        """The next part, or None when every sample has ended. Cancelling it loses nothing: it can be called again.

        Raises:
            RequestError: the stream broke, told of a failure, or the time was over.
            ConfigurationError: the stream was closed before its samples had ended.
            PrunedError: it was closed because its path was pruned.
        """
        while self._call.unfinished:
            self.check_open()
            if not self._payloads:
                self._payloads.extend(self._events.feed(await self._chunk()))
                continue
            part = self._read(self._payloads.popleft())
            if part is not None:
                return part
        return None

    async def ended(self) -> list[StreamedPart]:
        """The last parts of samples that have ended by now: of one at least, or none when every sample has ended.

        Cancelling it loses nothing: it can be called again. What it raises is raised when what came before was told.

        Raises:
            RequestError: as :meth:`part`.
            ConfigurationError: as :meth:`part`.
            PrunedError: as :meth:`part`.
        """
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        part = await self.part()
        while part is not None and part.sample is None:
            part = await self.part()
        ended = [part] if part is not None else []
        while self._payloads and self._call.unfinished:
            try:
                part = self._read(self._payloads.popleft())
            except RequestError as error:
                self._failure = error
                break
            if part is not None and part.sample is not None:
                ended.append(part)
        return ended

    def check_open(self) -> None:
        """Check that it was not closed.

        Raises:
            ConfigurationError: it was.
            PrunedError: it was, because its path was pruned.
        """
        if self._is_closed:
            raise self._why or ConfigurationError("this stream was left before its end: begin a new one")

    async def aclose(self, why: Exception | None = None) -> None:
        """End the stream; samples that have not ended are aborted in the background.

        Args:
            why: what is raised to whoever goes on reading; None for having left it.
        """
        self._is_closed = True
        self._why = self._why or why
        self._sent.lost()
        try:
            await self._caller.close(self._call)
        finally:
            if self.on_close is not None:
                self.on_close()

    async def _chunk(self) -> bytes:
        try:
            chunk = await self._call.chunk()
        except TimeoutError:
            raise self._deadline.over("the stream did not end", self.rids) from None
        except TransportError as error:
            self.check_open()
            raise self._caller.lost(error, self.rids) from error
        if chunk is None:
            message = f"{len(self._call.unfinished)} of its {len(self._call.outgoing.rids)} samples have no end"
            raise self._caller.lost(TransportError(message, was_sent=True), self.rids)
        return chunk

    def _read(self, payload: bytes) -> StreamedPart | None:
        try:
            part = self._reader.read(payload)
        except StreamFaultError as error:
            raise self._error(error) from None
        except BrokenReplyError as error:
            message = f"the stream is not what SGLang sends: {error}"
            raise ServerFaultError(message, rids=self.rids, body=payload[:300].decode(errors="replace")) from None
        if part is not None and part.token_ids:
            self._sent.prefilled(part.index)
        if part is not None and part.sample is not None:
            self._sent.finish(part.index, part.sample)
            self._caller.sample_ended(self._call, self._call.outgoing.rids[part.index])
            if self.on_sample is not None:
                self.on_sample(len(part.sample.output_ids))
        return part

    def _error(self, error: StreamFaultError) -> RequestError:
        fault, rids = error.fault, self._call.outgoing.rids
        if error.index is not None:
            rids = (rids[error.index],)
            self._caller.sample_ended(self._call, rids[0])
            if self.on_sample is not None:
                self.on_sample(0)
        return ERRORS[fault.kind](f"the server says: {fault.message}", rids=rids, status=error.status, body=fault.body)
