"""``POST /generate`` with ``stream``: chunks of one or several samples, in either of SGLang's two modes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.json import Decoder

from .._record import State, Untracked
from .broken import BrokenReplyError
from .codec import read_json
from .faults import Fault, failure_kind, read_fault
from .generate import WireSample
from .logprobs import holds_logprobs, logprobs_of_stream
from .sse import SseReader

if TYPE_CHECKING:
    from ..logprobs import Logprobs

__all__ = ["StreamFaultError", "StreamReader", "StreamedPart", "read_streamed_sample", "shows_a_token"]

_DONE = b"[DONE]"


class StreamFaultError(Exception):
    """An error that came inside a stream whose status was 200.

    Attributes:
        fault: what it means.
        status: the status that it would have had without a stream.
        index: the sample that failed, or None when it was the whole request.
    """

    def __init__(self, fault: Fault, status: int, index: int | None = None) -> None:
        super().__init__(fault.message)
        self.fault = fault
        self.status = status
        self.index = index


class StreamedPart(Untracked, frozen=True):
    """What one chunk adds.

    Attributes:
        index: which sample of the batch.
        text: new text.
        token_ids: new token ids.
        sample: the whole sample, when this chunk ends it.
        logprobs: of the whole sample, when this chunk ends it and the server sent any.
    """

    index: int
    text: str
    token_ids: tuple[int, ...]
    sample: WireSample | None
    logprobs: Logprobs | None = None


class _Chunk(WireSample, kw_only=True):
    index: int = 0


class _Error(Struct):
    code: int = 400  # 0.5.10 sends the message alone


class _ErrorFrame(Struct):
    error: _Error


_CHUNK, _ERROR_FRAME = Decoder(_Chunk), Decoder(_ErrorFrame)


class _Progress(State):
    text: str = ""
    told: int = 0  # characters of it that were new once
    token_ids: list[int] = field(default_factory=list[int])
    chunks: list[bytes] = field(default_factory=list[bytes])  # which hold log-probabilities
    is_finished: bool = False


class StreamReader:
    """Follows all samples of one stream."""

    def __init__(self, samples: int, *, is_incremental: bool | None) -> None:
        """Expect a stream.

        Args:
            samples: how many were asked for.
            is_incremental: whether the server sends what is new (``--incremental-streaming-output``) or, as it does by
                default, everything so far in each chunk. None when it is not told, as behind ``sglang-router``: then
                each chunk shows it, which counts the tokens so far.
        """
        self._samples = [_Progress() for _ in range(samples)]
        self._is_incremental = is_incremental

    def read(self, payload: bytes) -> StreamedPart | None:
        """Take the next event.

        Args:
            payload: as :class:`~ets_client._wire.sse.SseReader` gives it.

        Returns:
            What it adds, or None for the mark at the end of the stream.

        Raises:
            StreamFaultError: it tells of a failure.
            BrokenReplyError: it is not SGLang's.
        """
        if payload == _DONE:
            return None
        if payload.startswith(b'{"error"'):
            raise self._error_frame(payload)
        try:
            chunk = read_json(_CHUNK, payload)
        except BrokenReplyError as error:
            raise BrokenReplyError(f"a chunk: {error}") from None
        if not 0 <= chunk.index < len(self._samples) or self._samples[chunk.index].is_finished:
            raise BrokenReplyError(f"a chunk for sample {chunk.index} of {len(self._samples)} that is not expected")
        finish = chunk.meta_info.finish_reason
        if finish is not None and finish.type == "abort" and (finish.status_code or 0) >= 400:
            status, message = finish.status_code or 0, finish.message or "aborted"
            self._samples[chunk.index].is_finished = True
            raise StreamFaultError(Fault(failure_kind(status, message), message, ""), status, chunk.index)
        return self._advance(self._samples[chunk.index], chunk, payload)

    def _advance(self, so_far: _Progress, chunk: _Chunk, payload: bytes) -> StreamedPart:
        is_incremental = self._is_incremental
        if is_incremental is None:
            is_incremental = len(chunk.output_ids) < chunk.meta_info.completion_tokens
        if holds_logprobs(payload):
            if not is_incremental:
                so_far.chunks.clear()  # this one repeats them
            so_far.chunks.append(payload)
        if is_incremental:
            new_text, new_ids = chunk.text, chunk.output_ids
            so_far.text += new_text
            so_far.token_ids += new_ids
        else:
            # The text of unfinished characters may be taken back: then nothing is new until it is longer again.
            new_text = chunk.text[so_far.told :]
            new_ids = chunk.output_ids[len(so_far.token_ids) :]
            so_far.text = chunk.text
            so_far.told = max(so_far.told, len(chunk.text))
            so_far.token_ids = chunk.output_ids
        sample, logprobs = None, None
        if chunk.meta_info.finish_reason is not None:
            so_far.is_finished = True
            sample = WireSample(text=so_far.text, output_ids=so_far.token_ids, meta_info=chunk.meta_info)
            logprobs = logprobs_of_stream(so_far.chunks)
        return StreamedPart(chunk.index, new_text, tuple(new_ids), sample, logprobs)

    def _error_frame(self, payload: bytes) -> StreamFaultError:
        try:
            status = read_json(_ERROR_FRAME, payload).error.code
        except BrokenReplyError:
            status = 500
        return StreamFaultError(read_fault(status, payload), status)


def shows_a_token(payload: bytes) -> bool:
    """Whether the first event of a stream of one sample has a token, and so tells that its prompt is computed."""
    try:
        part = StreamReader(1, is_incremental=True).read(payload)
    except (StreamFaultError, BrokenReplyError):
        return False
    return part is not None and bool(part.token_ids)


def read_streamed_sample(body: bytes, *, is_incremental: bool | None) -> tuple[WireSample, Logprobs | None]:
    """Read a stream of one sample that has come as a whole.

    Args:
        body: all of it.
        is_incremental: as for :class:`StreamReader`.

    Raises:
        StreamFaultError: it tells of a failure.
        BrokenReplyError: it is not SGLang's, or the sample has no end.
    """
    reader = StreamReader(1, is_incremental=is_incremental)
    for payload in SseReader().feed(body):
        part = reader.read(payload)
        if part is not None and part.sample is not None:
            return part.sample, part.logprobs
    raise BrokenReplyError("the stream ended before its sample")
