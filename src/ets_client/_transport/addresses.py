"""The addresses of a server's name."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .origin import Origin

__all__ = ["Addresses"]

_Found = Sequence[tuple[int, int, int, str, Any]]  # as socket.getaddrinfo gives it


class Addresses:
    """Looks a name up, once for all that connect at the same time: a search begins with a thousand connects."""

    def __init__(self, origin: Origin) -> None:
        """Look nothing up yet.

        Args:
            origin: whose name it is.
        """
        self._where = origin.host, origin.port
        self._looking: asyncio.Task[_Found] | None = None

    async def find(self) -> _Found:
        """All of them, the best first. Nothing is kept: a name may point elsewhere a moment later.

        Raises:
            OSError: the name is not known.
        """
        host, port = self._where
        try:  # most servers are given by their number, which needs no thread
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except socket.gaierror:
            pass
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look_up(host, port))
            self._looking.add_done_callback(self._found)
        return await asyncio.shield(self._looking)

    def close(self) -> None:
        """Wait for no answer."""
        if self._looking is not None:
            self._looking.cancel()

    @staticmethod
    async def _look_up(host: str, port: int) -> _Found:
        return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)

    def _found(self, looking: asyncio.Task[_Found]) -> None:
        self._looking = None
        if not looking.cancelled():
            looking.exception()  # all who asked may have gone
