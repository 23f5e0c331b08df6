"""A file that lines are appended to, whole or not at all."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from .errors import JournalWriteError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["AppendedFile", "advice"]

_ADVICE = {
    errno.ENOSPC: "free some space on that disk, then resume",
    errno.EDQUOT: "your quota there is used up: free some of it, then resume",
    errno.EFBIG: "files there may not be larger (see `ulimit -f`): raise the limit, then resume",
    errno.EACCES: "you may not write there: change its permissions, or choose another folder",
    errno.EPERM: "you may not write there: change its permissions, or choose another folder",
    errno.EROFS: "that file system is read-only: choose another folder",
    errno.EISDIR: "a folder has that name: choose another folder for the run",
    errno.EEXIST: "a file has that name: choose another folder for the run",
    errno.ENOTDIR: "a file is in the place of a folder: give the folder of the run",
    errno.ESTALE: "the file server lost the file: look whether the folder is still there, then resume",
    errno.EIO: "the disk or the file server is broken: look at its log (`dmesg`), then resume",
}


def advice(error: OSError) -> str:
    """What was wrong, and what to do about it."""
    told = error.strerror or str(error)
    return f"{told}; {_ADVICE.get(error.errno or 0, 'mend that, then resume')}"


class AppendedFile:
    """A file that lines are appended to.

    Attributes:
        path: where it is.

    Raises:
        JournalWriteError: it cannot be opened for writing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self._size = os.fstat(self._handle).st_size
        except OSError as error:
            raise JournalWriteError(f"cannot write {path}: {advice(error)}") from error

    def write(self, lines: Sequence[bytes]) -> tuple[int, JournalWriteError | None]:
        """Append lines.

        Returns:
            How many of them are in the file, and why not all. Of the others no part is, unless even that could not be
            helped; a reader then recognises the torn line.
        """
        data = memoryview(b"".join(lines))
        written = 0
        try:
            while written < len(data):
                written += os.write(self._handle, data[written:])
        except OSError as error:
            count, whole = 0, 0
            while whole + len(lines[count]) <= written:
                whole += len(lines[count])
                count += 1
            self._size += whole
            with suppress(OSError):
                os.ftruncate(self._handle, self._size)
            return count, JournalWriteError(f"cannot append to {self.path}: {advice(error)}")
        self._size += written
        return len(lines), None

    def sync(self) -> None:
        """Bring it to disk.

        Raises:
            JournalWriteError: that failed; NFS tells a full disk only here.
        """
        try:
            os.fsync(self._handle)
        except OSError as error:
            raise JournalWriteError(f"cannot bring {self.path} to disk: {advice(error)}") from error

    def close(self) -> None:
        """Close it.

        Raises:
            JournalWriteError: the file server refused what it had taken.
        """
        try:
            os.close(self._handle)
        except OSError as error:
            raise JournalWriteError(f"cannot close {self.path}: {advice(error)}") from error
