"""Which transport a client gets. httpx is imported here, when it is needed, and only then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .mocks import MockWatch
from .pool import Pool

if TYPE_CHECKING:
    from collections.abc import Coroutine

    import httpx

    from .base import HttpReply, HttpRequest, HttpStream, Transport, TransportStats
    from .stock import StockTransport

__all__ = ["DefaultTransport", "make_transport"]


def make_transport(
    *, connections: int, keep_alive_seconds: float, transport: httpx.AsyncBaseTransport | None = None
) -> Transport:
    """The transport of a client.

    Args:
        connections: most connections for work.
        keep_alive_seconds: how long the server keeps an idle connection.
        transport: an httpx transport to use for everything, for proxies, Unix sockets and mocks; None for our own.
    """
    if transport is None:
        return DefaultTransport(connections=connections, keep_alive_seconds=keep_alive_seconds)
    return _stock(connections, keep_alive_seconds, transport)


class DefaultTransport:
    """Our pool; while a test mocks httpx, httpx instead, so that the mock sees every request."""

    def __init__(self, *, connections: int, keep_alive_seconds: float) -> None:
        """Open no connection yet.

        Args:
            connections: most connections for work to one server.
            keep_alive_seconds: how long the server keeps an idle connection.
        """
        self._pool = Pool(connections=connections, keep_alive_seconds=keep_alive_seconds)
        self._watch = MockWatch()
        self._sizes = connections, keep_alive_seconds
        self._mocked: StockTransport | None = None

    def send(self, request: HttpRequest) -> Coroutine[Any, Any, HttpReply]:
        """Send one request and wait for the whole reply: see :meth:`Pool.send`."""
        return self._now().send(request)

    def open(self, request: HttpRequest) -> Coroutine[Any, Any, HttpStream]:
        """Send one request and wait for the header of the reply: see :meth:`Pool.open`."""
        return self._now().open(request)

    def stats(self) -> TransportStats:
        """The pool's; what went through a mock is not in it."""
        return self._pool.stats()

    async def aclose(self) -> None:
        """Close all connections."""
        try:
            await self._pool.aclose()
        finally:
            if self._mocked is not None:
                await self._mocked.aclose()

    def _now(self) -> Pool | StockTransport:
        if not self._watch.is_mocked():
            return self._pool
        if self._mocked is None:
            self._mocked = _stock(*self._sizes, None)
        return self._mocked


def _stock(connections: int, keep_alive_seconds: float, transport: httpx.AsyncBaseTransport | None) -> StockTransport:
    from .stock import StockTransport  # 60 ms, for those who use httpx

    return StockTransport(connections=connections, keep_alive_seconds=keep_alive_seconds, transport=transport)
