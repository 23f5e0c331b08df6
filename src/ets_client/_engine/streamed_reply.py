"""A reply that streams, taken as a whole, with a word when it begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._transport.base import HttpReply, TransportError
from .._wire.sse import SseReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._transport.base import HttpRequest, Transport

__all__ = ["streamed_reply"]

_MOST_BODY = 64 * 1024 * 1024  # as for replies that do not stream, which the transport itself bounds


async def streamed_reply(transport: Transport, first: Callable[[bytes], bool], request: HttpRequest) -> HttpReply:
    """Send a request and wait for all of its reply.

    Args:
        transport: how it travels.
        first: given the reply's events as they come, until it says True.
        request: what to send.

    Raises:
        TransportError: no complete reply came, or one that is too large.
    """
    stream = await transport.open(request)
    try:
        told = stream.headers.get("content-length", "")  # SGLang's streams have none; a proxy's answer may
        _check_size(int(told) if told.isdecimal() else 0)
        pieces: list[bytes] = []
        size, events, waits = 0, SseReader(), 200 <= stream.status < 300
        async for piece in stream.chunks():
            size += len(piece)
            _check_size(size)
            pieces.append(piece)
            waits = waits and not any(map(first, events.feed(piece)))
        return HttpReply(stream.status, b"".join(pieces), stream.headers)
    finally:
        await stream.aclose()


def _check_size(size: int) -> None:
    if size > _MOST_BODY:
        message = (
            f"the reply's body has {size} bytes or more, the most is {_MOST_BODY}: ask for fewer samples, tokens or "
            "log-probabilities at once"
        )
        raise TransportError(message, was_sent=True, was_answered=True)
