"""A reply that streams, taken as a whole, with a word when it begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._transport.base import HttpReply
from .._wire.sse import SseReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._transport.base import HttpRequest, Transport

__all__ = ["streamed_reply"]


async def streamed_reply(transport: Transport, first: Callable[[bytes], bool], request: HttpRequest) -> HttpReply:
    """Send a request and wait for all of its reply.

    Args:
        transport: how it travels.
        first: given the reply's events as they come, until it says True.
        request: what to send.

    Raises:
        TransportError: no complete reply came.
    """
    stream = await transport.open(request)
    try:
        pieces: list[bytes] = []
        events, waits = SseReader(), 200 <= stream.status < 300
        async for piece in stream.chunks():
            pieces.append(piece)
            waits = waits and not any(map(first, events.feed(piece)))
        return HttpReply(stream.status, b"".join(pieces), stream.headers)
    finally:
        await stream.aclose()
