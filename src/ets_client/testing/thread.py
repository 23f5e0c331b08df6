"""An event loop in a thread, for users who have none."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["LoopThread"]

_MOST_SECONDS = 10


class LoopThread:
    """A loop that runs until it is closed. It may be used while another loop runs in the caller's thread."""

    def __init__(self, name: str) -> None:
        """Start it.

        Args:
            name: the thread's.
        """
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run something in it, and wait for its end.

        Raises:
            TimeoutError: it took more than 10 s.
        """
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_MOST_SECONDS)

    def close(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        # All of it in this thread: in the caller's, a loop may be running, beside which no other can be run.
        self._loop.run_forever()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()
