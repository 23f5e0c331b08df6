"""A proxy that cuts connections after so many bytes of a request or of a reply."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Way = Literal["request", "reply"]
_RESET = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class _Cut:
    way: Way
    after: int
    resets: bool


class CuttingProxy:
    """Passes bytes on, until it is told to cut the next exchange of ``/generate``.

    Attributes:
        url: its address.
        sizes: bytes of the last such request and of the reply to it.
        cuts: exchanges that were cut.
    """

    def __init__(self) -> None:
        self.url = ""
        self.sizes: dict[Way, int] = {"request": 0, "reply": 0}
        self.cuts = 0
        self._cut: _Cut | None = None
        self._pumps: set[asyncio.Task[None]] = set()

    def cut(self, way: Way, after: int, *, resets: bool) -> None:
        """Cut the next exchange.

        Args:
            way: which half of it.
            after: so many bytes of it go through.
            resets: both sides see a reset, not an end.
        """
        self._cut = _Cut(way, after, resets)

    def clear(self) -> None:
        """Cut nothing."""
        self._cut = None

    @asynccontextmanager
    async def run(self, port: int) -> AsyncIterator[CuttingProxy]:
        """Stand before the server at that port."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
            _Line(self, reader, writer, far_reader, far_writer)

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for pump in self._pumps:
                pump.cancel()
            if self._pumps:
                await asyncio.wait(self._pumps)
            await server.wait_closed()
            await asyncio.sleep(0)  # asyncio closes sockets a turn later


class _Line:
    """One connection through the proxy."""

    def __init__(
        self,
        proxy: CuttingProxy,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        self._proxy = proxy
        self._writers = writer, far_writer
        self._is_counted = False
        self._cut: _Cut | None = None
        for way, source, target in (("request", reader, far_writer), ("reply", far_reader, writer)):
            pump = asyncio.ensure_future(self._pump(way, source, target))  # type: ignore[arg-type]
            proxy._pumps.add(pump)
            pump.add_done_callback(proxy._pumps.discard)

    async def _pump(self, way: Way, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        proxy = self._proxy
        try:
            while data := await source.read(2**20):
                if way == "request" and data.startswith((b"POST ", b"GET ")):
                    self._is_counted = data.startswith(b"POST /generate")
                    if self._is_counted:
                        proxy.sizes["request"] = proxy.sizes["reply"] = 0
                        self._cut, proxy._cut = proxy._cut, None
                through = data
                if self._is_counted:
                    if self._cut is not None and self._cut.way == way:
                        through = data[: max(0, self._cut.after - proxy.sizes[way])]
                    proxy.sizes[way] += len(data)
                target.write(through)
                await target.drain()
                cut = self._cut if self._is_counted else None
                if cut is not None and cut.way == way and proxy.sizes[way] >= cut.after:
                    proxy.cuts += 1
                    self._close(resets=cut.resets)
                    return
        except ConnectionError:
            pass
        finally:
            self._close(resets=False)

    def _close(self, *, resets: bool) -> None:
        for writer in self._writers:
            if resets and not writer.is_closing():
                raw = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                writer.transport.abort()
            else:
                writer.close()
