"""What a task does between two points, as something that others can end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from typing import Any

__all__ = ["Scope"]


class Scope:
    """:func:`asyncio.timeout` without the time: cancels its task, and knows that cancellation from anybody else's."""

    __slots__ = ("_cancelling", "_is_ended", "_task")

    def __init__(self, task: asyncio.Task[Any]) -> None:
        """Begin it.

        Args:
            task: the running one.
        """
        self._task = task
        self._cancelling = task.cancelling()
        self._is_ended = False

    def end(self) -> None:
        """Cancel what the task awaits in it. Once is enough."""
        self._is_ended = True
        self._task.cancel()

    def leave(self) -> bool:
        """Take :meth:`end` back, if it was called; the task must come by here in any case.

        Returns:
            Whether a cancellation that arrived here was that of :meth:`end` alone.
        """
        is_ended, self._is_ended = self._is_ended, False
        return is_ended and self._task.uncancel() <= self._cancelling
