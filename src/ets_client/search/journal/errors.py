"""What can be wrong with a run's folder."""

from __future__ import annotations

from ...errors import EtsClientError

__all__ = ["JournalDamagedError", "JournalError", "JournalLockedError", "JournalWriteError"]


class JournalError(EtsClientError):
    """A run's folder cannot be used as asked; the message names the file and says what to do."""


class JournalWriteError(JournalError):
    """The journal cannot be written: the disk is full, say. What was appended before is safe: mend it and resume."""


class JournalDamagedError(JournalError):
    """A line is damaged although good ones follow.

    Attributes:
        line: its number in the file, from 1.
    """

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line

    def __reduce__(self) -> tuple[type[JournalDamagedError], tuple[str, int]]:
        return type(self), (str(self), self.line)


class JournalLockedError(JournalError):
    """Another process writes into the folder, or did and could not tidy up."""
