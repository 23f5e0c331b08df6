"""A journal's lines: ``crc32 in 8 hex digits, space, JSON, newline``. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar
from zlib import crc32

import msgspec

from .entries import DecisionEntry, Entry, ScoresEntry

if TYPE_CHECKING:
    from ..methods.view import JsonValue

__all__ = ["DamagedLineError", "as_recorded", "check_line", "decode_line", "encode_line"]

E = TypeVar("E", bound=Entry)

_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[Entry] = msgspec.json.Decoder(Entry)
_CRC = 8  # hex digits


class DamagedLineError(Exception):
    """The line is not what was written."""


def encode_line(entry: Entry) -> bytes:
    """An entry as a line, newline included.

    Raises:
        ValueError: a score, or a number in a decision's memory or notes, is infinite or NaN, which JSON cannot hold:
            it would come back as null.
    """
    if isinstance(entry, ScoresEntry):
        _check_finite(entry.values, "values")
    elif isinstance(entry, DecisionEntry):
        _check_finite(entry.memory, "memory")
        _check_finite(entry.notes, "notes")
    payload = _ENCODER.encode(entry)
    return b"%08x %b\n" % (crc32(payload), payload)


def check_line(line: bytes | memoryview) -> memoryview:
    """The JSON of a line whose checksum is right.

    Args:
        line: without its newline.

    Raises:
        DamagedLineError: it is not as it was written.
    """
    view = memoryview(line)
    payload = view[_CRC + 1 :]
    if bytes(view[: _CRC + 1]) != b"%08x " % crc32(payload):
        raise DamagedLineError
    return payload


def decode_line(line: bytes | memoryview) -> Entry:
    """The entry of a line.

    Args:
        line: without its newline.

    Raises:
        DamagedLineError: it is not as it was written.
        msgspec.DecodeError: it is, but this version does not know such entries.
    """
    return _DECODER.decode(check_line(line))


def as_recorded(entry: E) -> E:
    """The entry as a journal gives it back: with lists for tuples, and strings for keys.

    A search that decides with what it will read after a crash decides the same after it.
    """
    return msgspec.json.decode(_ENCODER.encode(entry), type=type(entry))


def _check_finite(value: JsonValue, where: str) -> None:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where} holds {value}, which a journal cannot keep: use None, or a finite number")
    elif isinstance(value, Mapping):
        for key, each in value.items():
            _check_finite(each, f"{where}[{key!r}]")
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):
            _check_finite(each, f"{where}[{index}]")
