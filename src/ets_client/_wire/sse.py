"""Server-sent events as SGLang writes them: one ``data:`` line an event, a blank line after it."""

from __future__ import annotations

__all__ = ["SseReader"]


class SseReader:
    """Cuts a body that comes in pieces into the payloads of its events, wherever the pieces were cut."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []  # of a line that has not ended; joined once, however many pieces it comes in

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next piece.

        Args:
            chunk: bytes as they came.

        Returns:
            The payloads of the events that are complete now, in order.
        """
        self._rest.append(chunk)
        if b"\n" not in chunk:
            return []
        *lines, rest = b"".join(self._rest).split(b"\n")
        self._rest = [rest]
        return [line.removeprefix(b"data:").strip() for line in lines if line.startswith(b"data:")]
