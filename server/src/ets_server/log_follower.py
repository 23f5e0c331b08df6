"""Follow a server's log while it grows, API keys removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .redact import redact

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["LogFollower"]


class LogFollower:
    """Reads a growing log file piece by piece.

    Args:
        file: the log.
        echo: gets each new piece, keys removed; None to only remember it.

    Attributes:
        text: what was remembered.
    """

    def __init__(self, file: Path, echo: Callable[[str], object] | None = None) -> None:
        self._file = file
        self.echo = echo
        self._offset = 0
        self._rest = b""
        self.text = ""

    def read(self, *, remember: bool = True) -> None:
        """Take in the lines that came since the last call.

        Args:
            remember: whether to add them to :attr:`text`.
        """
        with self._file.open("rb") as log:
            log.seek(self._offset)
            piece = log.read()
        self._offset += len(piece)
        whole, newline, self._rest = (self._rest + piece).rpartition(b"\n")
        text = redact((whole + newline).decode(errors="replace"))
        if remember:
            self.text += text
        if self.echo is not None and text:
            self.echo(text)
