"""Log-probabilities in replies and streams of ``/generate``, read when somebody looks at them.

Eight samples of 64 tokens with five alternatives each are 111 KB: to look at all of it takes 1.7 ms of CPU, to pass
over it 0.1 ms (``benchmarks/parse_reply.py``). So the bytes are kept, until somebody asks.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ..errors import ServerFaultError
from ..logprobs import LogprobLists, Logprobs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..logprobs import LogprobOptions

__all__ = ["holds_logprobs", "logprob_fields", "logprobs_of_samples", "logprobs_of_stream"]

_MARK = b'"output_token_logprobs"'  # inside a JSON string its quotes would be escaped
_NOTHING = -3.4e38  # SGLang writes the least float32 for minus infinity, orjson writes null
_Entry = tuple[float | None, int, Any]  # log-probability, token id, text


class _Meta(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)

    output_token_logprobs: list[_Entry] | None = None
    output_top_logprobs: list[list[_Entry] | None] | None = None
    output_token_ids_logprobs: list[list[_Entry] | None] | None = None


class _Sample(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)

    meta_info: _Meta = Field(default_factory=_Meta)


_LATE = ConfigDict(defer_build=True)
_SAMPLE, _SAMPLES = TypeAdapter(_Sample), TypeAdapter(list[_Sample], config=_LATE)


def logprob_fields(options: LogprobOptions | None, samples: int) -> dict[str, Any]:
    """Fields of a request for log-probabilities of the output alone.

    A ``logprob_start_len`` >= 0, for the prompt's, would switch prefix reuse off.

    Args:
        options: what is wanted, or None.
        samples: of the batch.
    """
    if options is None:
        return {}
    fields: dict[str, Any] = {"return_logprob": True}
    if options.top:
        fields["top_logprobs_num"] = options.top
    if options.chosen:
        fields["token_ids_logprob"] = [list(options.chosen)] * samples
    return fields


def holds_logprobs(body: bytes) -> bool:
    """Whether a reply or a chunk has any log-probabilities, without reading it."""
    return _MARK in body


def logprobs_of_samples(body: bytes, samples: int) -> list[Logprobs | None]:
    """The log-probabilities of a batch's samples, which share one reply and read it once.

    Args:
        body: the reply's body.
        samples: how many it has.
    """
    if not holds_logprobs(body):
        return [None] * samples
    reply = _Reply(body)
    return [Logprobs(partial(reply.lists, place)) for place in range(samples)]


def logprobs_of_stream(chunks: Sequence[bytes]) -> Logprobs | None:
    """The log-probabilities of one streamed sample.

    Args:
        chunks: all of its chunks that hold some, in order; of a stream that repeats everything, the last.
    """
    return Logprobs(partial(_read_chunks, tuple(chunks))) if chunks else None


class _Reply:
    """A reply that is read when the first of its samples is."""

    __slots__ = ("_body", "_lists")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._lists: list[LogprobLists] = []

    def lists(self, place: int) -> LogprobLists:
        if not self._lists:
            try:
                samples = _SAMPLES.validate_json(self._body)
            except ValidationError as error:
                raise _fault(error, self._body) from None
            self._lists = [_lists([sample.meta_info]) for sample in samples]
            self._body = b""
        return self._lists[place]


def _read_chunks(chunks: tuple[bytes, ...]) -> LogprobLists:
    metas: list[_Meta] = []
    for chunk in chunks:
        try:
            metas.append(_SAMPLE.validate_json(chunk).meta_info)
        except ValidationError as error:
            raise _fault(error, chunk) from None
    return _lists(metas)


def _fault(error: ValidationError, body: bytes) -> ServerFaultError:
    first = error.errors(include_url=False, include_input=False)[0]
    message = f"the log-probabilities are not what SGLang sends: {'.'.join(map(str, first['loc']))}: {first['msg']}"
    return ServerFaultError(message, body=body[:300].decode(errors="replace"))


def _lists(metas: list[_Meta]) -> LogprobLists:
    return LogprobLists(
        tuple(_value(entry) for meta in metas for entry in meta.output_token_logprobs or ()),
        _tables([meta.output_top_logprobs for meta in metas]),
        _tables([meta.output_token_ids_logprobs for meta in metas]),
    )


def _tables(columns: list[list[list[_Entry] | None] | None]) -> tuple[dict[int, float], ...] | None:
    if all(column is None for column in columns):
        return None
    return tuple({entry[1]: _value(entry) for entry in row or ()} for column in columns for row in column or ())


def _value(entry: _Entry) -> float:
    value = entry[0]
    return float("-inf") if value is None or value <= _NOTHING else value
