"""Where each question's lines stand in a journal, and how far it is whole. Pure: the bytes are given in pieces."""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from .codec import DamagedLineError, check_line

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["JournalIndex", "JournalScan", "Lines"]

# Entries are written with their kind and question first; reading no further is 20 times as fast as decoding them.
_HEAD = re.compile(rb'\{"kind":"[a-z]+","question":(\d+)[,}]')
_HEAD_BYTES = 64


class Lines:
    """Places of lines in a file, 16 bytes each."""

    __slots__ = ("_places",)

    def __init__(self) -> None:
        self._places = array("Q")

    def add(self, offset: int, length: int) -> None:
        """One line more, after all others; its newline is not counted."""
        self._places.extend((offset, length))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._places[::2], self._places[1::2], strict=True)

    def __len__(self) -> int:
        return len(self._places) // 2


class _Head(msgspec.Struct):
    question: int | None = None


@dataclass
class JournalIndex:
    """What a journal's bytes are.

    Attributes:
        runs: lines that tell what ran, one of each session.
        questions: lines of each question, in order.
        size: bytes up to the first damaged line, or to the end.
        cut: lines from the first damaged one on, which are not in this index.
        damaged: number of the first damaged line, from 1, when good ones follow it; None when the journal is whole but
            for its tail, which ``kill -9`` or a crash of the machine may tear.
    """

    runs: Lines = field(default_factory=Lines)
    questions: dict[int, Lines] = field(default_factory=dict[int, Lines])
    size: int = 0
    cut: int = 0
    damaged: int | None = None


class JournalScan:
    """Reads a journal from its beginning, in pieces of any size."""

    def __init__(self) -> None:
        self._index = JournalIndex()
        self._rest: list[bytes] = []  # pieces of a line whose end has not come
        self._offset = 0  # of that line
        self._lines = 0
        self._bad: int | None = None  # number of the first damaged line

    def feed(self, piece: bytes) -> None:
        """Read on."""
        *lines, rest = piece.split(b"\n")
        if lines:
            self._line(b"".join((*self._rest, lines[0])))
            for line in lines[1:]:
                self._line(line)
            self._rest.clear()
        if rest:
            self._rest.append(rest)

    def finish(self) -> JournalIndex:
        """What there is; a last line without a newline was torn."""
        index = self._index
        index.cut += bool(self._rest)
        return index

    def _line(self, line: bytes) -> None:
        offset, index = self._offset, self._index
        self._offset += len(line) + 1
        self._lines += 1
        try:
            payload = check_line(line)
        except DamagedLineError:
            self._bad = self._bad or self._lines
            index.cut += 1
            return
        if self._bad is not None:
            index.damaged = self._bad
            index.cut += 1
            return
        index.size = self._offset
        question = _question_of(payload)
        lines = index.runs if question is None else index.questions.setdefault(question, Lines())
        lines.add(offset, len(line))


def _question_of(payload: memoryview) -> int | None:
    head = _HEAD.match(payload[:_HEAD_BYTES])
    return int(head[1]) if head is not None else msgspec.json.decode(payload, type=_Head).question
