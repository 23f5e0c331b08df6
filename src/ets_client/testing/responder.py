"""The least server that speaks HTTP/1.1: the same reply to everything, for benchmarks of connection pools."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from .chance import fraction

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["BareResponder"]


class BareResponder:
    """Answers each request with the same bytes, at once or after a delay. It reads no more than lengths.

    Attributes:
        served: requests answered.
        connections: clients connected since the beginning.
    """

    def __init__(
        self,
        body: bytes = b"{}",
        *,
        delay: float = 0.0,
        jitter: float = 0.0,
        keep_alive_seconds: float = 5.0,
        seed: int = 0,
        port: int = 0,
    ) -> None:
        """Make it.

        Args:
            body: of every reply.
            delay: seconds before a reply.
            jitter: at most so many seconds more, drawn for each.
            keep_alive_seconds: an idle connection is closed after this time.
            seed: of the draws.
            port: to listen on; 0 for any that is free.
        """
        head = b"HTTP/1.1 200 OK\r\nserver: uvicorn\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        self.reply = head % len(body) + body
        self.delay = delay
        self.jitter = jitter
        self.keep_alive_seconds = keep_alive_seconds
        self.served = 0
        self.connections = 0
        self.open: set[_Bare] = set()
        self._seed = seed
        self._port = port
        self._listener: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The TCP port."""
        return self._port

    @property
    def base_url(self) -> str:
        """``http://127.0.0.1:port``."""
        return f"http://127.0.0.1:{self._port}"

    def wait_before_reply(self) -> float:
        """Seconds before the next reply."""
        return self.delay + (self.jitter * fraction(self._seed, self.served) if self.jitter else 0.0)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: _Bare(self), "127.0.0.1", self._port, backlog=4096)
        self._port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._listener is not None:
            self._listener.close()
        for connection in list(self.open):
            connection.close()
        await asyncio.sleep(0)


class _Bare(asyncio.Protocol):
    """One client, one request at a time or several in a row."""

    def __init__(self, home: BareResponder) -> None:
        self._home = home
        self._data = bytearray()
        self._transport: asyncio.Transport | None = None
        self._last = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        self._home.connections += 1
        self._home.open.add(self)
        loop = asyncio.get_running_loop()
        self._last = loop.time()
        self._timer = loop.call_later(self._home.keep_alive_seconds, self._check_idle)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._home.open.discard(self)
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._data += data
        self._last = asyncio.get_running_loop().time()
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._data[:end]).lower()
            place = head.find(b"\r\ncontent-length:")
            length = int(head[place + 17 :].partition(b"\r\n")[0]) if place >= 0 else 0
            if len(self._data) < end + 4 + length:
                return
            del self._data[: end + 4 + length]
            wait = self._home.wait_before_reply()
            self._home.served += 1
            if wait > 0:
                asyncio.get_running_loop().call_later(wait, self._answer)
            else:
                self._answer()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _answer(self) -> None:
        if self._transport is not None:
            self._transport.write(self._home.reply)
            self._last = asyncio.get_running_loop().time()

    def _check_idle(self) -> None:
        loop = asyncio.get_running_loop()
        left = self._last + self._home.keep_alive_seconds - loop.time()
        if left <= 0:
            self.close()
        else:
            self._timer = loop.call_later(left, self._check_idle)
