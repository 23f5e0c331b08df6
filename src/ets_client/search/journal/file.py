"""A journal in a file: what is where, and the lines themselves when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from ..manifest import Manifest
from .appended import advice
from .codec import DamagedLineError, decode_line
from .entries import Entry, RunEntry
from .errors import JournalDamagedError, JournalError
from .index import JournalIndex, JournalScan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .index import Lines

__all__ = ["FORMAT", "JournalFile"]

FORMAT = 1
_PIECE = 1 << 20


class JournalFile(Mapping[int, list[Entry]]):
    """The lines of each question, read from the file each time they are asked for.

    Attributes:
        path: where it is.
        index: what is where in it.

    Args:
        path: the journal.
        cut: whether to go without all that follows a damaged line.

    Raises:
        JournalDamagedError: a line is damaged although good ones follow, and ``cut`` is False.
        JournalError: there is no journal, it cannot be read, or a newer version wrote it.
    """

    def __init__(self, path: Path, *, cut: bool = False) -> None:
        self.path = path
        self.index = _scan(path)
        if self.index.damaged is not None and not cut:
            raise JournalDamagedError(
                f"{path}, line {self.index.damaged} is damaged although good lines follow it. `--cut` (`cut=True`) "
                f"goes on without it and the {self.index.cut - 1} lines after it; a copy of the folder may have it",
                self.index.damaged,
            )
        self.runs = [entry for entry in self._read(self.index.runs) if isinstance(entry, RunEntry)]
        if any(run.format > FORMAT for run in self.runs):
            raise JournalError(f"{path} was written by a newer version of ets-client: `pip install -U ets-client`")

    def manifest(self) -> Manifest:
        """What ran, as it began.

        Raises:
            JournalError: the first line is missing, or a version wrote it whose manifests are others.
        """
        if not self.runs:
            raise JournalError(f"{self.path} does not tell what ran: its first line is missing or damaged")
        try:
            return Manifest.read(self.runs[0].manifest)
        except msgspec.ValidationError as error:
            raise JournalError(
                f"the manifest in {self.path} is none of this version's ({error}): use the one that wrote it"
            ) from None

    def _read(self, lines: Lines) -> Iterator[Entry]:
        try:
            with self.path.open("rb") as file:
                for offset, length in lines:
                    file.seek(offset)
                    yield decode_line(file.read(length))
        except OSError as error:
            raise JournalError(f"cannot read {self.path}: {advice(error)}") from error
        except DamagedLineError:
            raise JournalError(f"{self.path} has changed since it was opened: open it again") from None
        except msgspec.DecodeError as error:
            raise JournalError(
                f"{self.path} holds a line that this version cannot read ({error}): read it with the one that wrote it"
            ) from None

    def __getitem__(self, question: int) -> list[Entry]:
        return list(self._read(self.index.questions[question]))

    def __contains__(self, question: object) -> bool:
        return question in self.index.questions

    def __iter__(self) -> Iterator[int]:
        return iter(self.index.questions)

    def __len__(self) -> int:
        return len(self.index.questions)


def _scan(path: Path) -> JournalIndex:
    scan = JournalScan()
    try:
        with path.open("rb", buffering=0) as file:
            while piece := file.read(_PIECE):
                scan.feed(piece)
    except FileNotFoundError:
        raise JournalError(f"there is no journal {path}: is this the folder of a run?") from None
    except OSError as error:
        raise JournalError(f"cannot read {path}: {advice(error)}") from error
    return scan.finish()
