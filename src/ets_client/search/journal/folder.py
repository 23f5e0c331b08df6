"""The folder of a run: its manifest, its journal, and the lock of who writes."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ...errors import ConfigurationError
from ..manifest import differences
from .appended import AppendedFile, advice
from .codec import encode_line
from .entries import RunEntry
from .errors import JournalError, JournalWriteError
from .file import FORMAT, JournalFile
from .lock import JournalLock
from .paid import Paid
from .writer import Journal

if TYPE_CHECKING:
    from collections.abc import Collection, Generator
    from types import TracebackType
    from typing import Self

    from ..manifest import Manifest

__all__ = ["OpenRun", "RunFolder"]


@dataclass(frozen=True)
class OpenRun:
    """A run that is being written; ``async with`` closes it.

    Attributes:
        journal: where to append.
        paid: what earlier sessions paid for and decided; empty for a new run.
        manifest: of the run as it began.
        cut: lines at the journal's end that were torn or damaged, and are gone.
    """

    journal: Journal
    paid: Paid
    manifest: Manifest
    cut: int

    async def close(self) -> None:
        """Write what is pending, and let others write into the folder."""
        await self.journal.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


class RunFolder:
    """A folder that holds one run: ``manifest.json``, ``journal.jsonl`` and, while someone writes, ``journal.lock``.

    Args:
        path: the folder; nothing is read or written yet.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @property
    def journal(self) -> Path:
        """The file of everything that was decided and paid for."""
        return self.path / "journal.jsonl"

    @property
    def manifest(self) -> Path:
        """A copy of the journal's first line, to be read by people."""
        return self.path / "manifest.json"

    @property
    def has_run(self) -> bool:
        """Whether a run has begun here."""
        try:
            return self.journal.stat().st_size > 0
        except OSError:
            return False

    def begin(self, manifest: Manifest) -> OpenRun:
        """Begin a run. It blocks while the files are made.

        Args:
            manifest: what it is made of.

        Raises:
            JournalLockedError: another process writes into the folder.
            JournalWriteError: the folder cannot be written.
            JournalError: it holds a run already.
        """
        with self._locked() as lock:
            self._refuse_a_second_run()
            return self._begin(manifest, lock)

    def resume(self, manifest: Manifest, *, cut: bool = False, allow: Collection[str] = ()) -> OpenRun:
        """Go on with the run that is here, or begin it when there is none. It blocks while the files are read.

        A torn tail, which ``kill -9`` may leave, is cut off. What does not matter for the results (machine, server's
        version, limits) may differ: each session writes its manifest into the journal.

        Args:
            manifest: what this session is made of.
            cut: whether to go on from the last good line before a damaged one, though good lines follow. What is cut
                off is kept beside the journal.
            allow: names of decisive fields that may differ, for a model that was moved, say.

        Raises:
            ConfigurationError: the run was begun with something else; the message names what.
            JournalDamagedError: a line is damaged although good ones follow, and ``cut`` is False.
            JournalLockedError: another process writes into the folder.
            JournalError: the folder cannot be read or written.
        """
        with self._locked() as lock:
            if not self.has_run:
                return self._begin(manifest, lock)
            file = JournalFile(self.journal, cut=cut)
            if not file.runs:
                return self._begin_again(file, manifest, lock)
            begun = file.manifest()
            self._refuse_another(begun, manifest, allow)
            self._cut_off(file)
            _append(self.journal, _line_of(manifest))
            return OpenRun(Journal(self.journal, lock=lock), Paid(file), begun, file.index.cut)

    @contextmanager
    def _locked(self) -> Generator[JournalLock]:
        """The folder, locked; an error lets it go again."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise JournalWriteError(f"cannot make the folder {self.path}: {advice(error)}") from error
        lock = JournalLock(self.path / "journal.lock")
        try:
            yield lock
        except BaseException:
            lock.release()
            raise

    def _refuse_a_second_run(self) -> None:
        if self.has_run:
            raise JournalError(
                f"{self.path} holds a run already: resume it (`--resume`), or choose another folder (`--out`)"
            )

    def _begin(self, manifest: Manifest, lock: JournalLock, cut: int = 0) -> OpenRun:
        self._write_manifest(manifest)
        _append(self.journal, _line_of(manifest))
        return OpenRun(Journal(self.journal, lock=lock), Paid({}), manifest, cut)

    def _begin_again(self, file: JournalFile, manifest: Manifest, lock: JournalLock) -> OpenRun:
        """Begin where the first line never became whole."""
        if len(file):
            raise JournalError(f"{self.journal} does not tell what ran: it was not made by RunFolder.begin")
        self._cut_off(file)
        return self._begin(manifest, lock, file.index.cut)

    def _write_manifest(self, manifest: Manifest) -> None:
        text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
        try:
            handle, temporary = tempfile.mkstemp(dir=self.path, prefix=".manifest.")
            with os.fdopen(handle, "wb") as file:
                file.write(text + b"\n")
                os.fchmod(file.fileno(), 0o644)
            Path(temporary).replace(self.manifest)
        except OSError as error:
            raise JournalWriteError(f"cannot write {self.manifest}: {advice(error)}") from error

    def _refuse_another(self, begun: Manifest, now: Manifest, allow: Collection[str]) -> None:
        found = [each for each in differences(begun, now) if each.is_decisive and each.name not in allow]
        if found:
            raise ConfigurationError(
                f"the run in {self.path} was begun with something else: {'; '.join(map(str, found))}. Resume it with "
                "the same, or choose another folder (`--out`)"
            )

    def _cut_off(self, file: JournalFile) -> None:
        """Cut the journal behind its last good line."""
        index = file.index
        if not index.cut:
            return
        try:
            with self.journal.open("r+b") as journal:
                if index.damaged is not None:
                    journal.seek(index.size)
                    _append(self.path / f"journal.cut-at-{index.size}", journal.read())
                journal.truncate(index.size)
                os.fsync(journal.fileno())
        except OSError as error:
            raise JournalWriteError(f"cannot cut {self.journal}: {advice(error)}") from error


def _line_of(manifest: Manifest) -> bytes:
    return encode_line(RunEntry(FORMAT, manifest.as_json()))


def _append(path: Path, data: bytes) -> None:
    """Append to a file and bring it to disk, its name too."""
    file = AppendedFile(path)
    try:
        _, failure = file.write([data])
        if failure is not None:
            raise failure
        file.sync()
    finally:
        file.close()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    except OSError as error:
        raise JournalWriteError(f"cannot bring {path.parent} to disk: {advice(error)}") from error
    finally:
        os.close(folder)
