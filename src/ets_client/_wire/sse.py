"""Server-sent events as SGLang writes them: one ``data:`` line an event, a blank line after it."""

from __future__ import annotations

__all__ = ["SseReader"]


class SseReader:
    """Cuts a body that comes in pieces into the payloads of its events, wherever the pieces were cut."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next piece.

        Args:
            chunk: bytes as they came.

        Returns:
            The payloads of the events that are complete now, in order.
        """
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return [line.removeprefix(b"data:").strip() for line in lines if line.startswith(b"data:")]
