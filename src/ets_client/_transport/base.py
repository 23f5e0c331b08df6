"""The one seam to the network."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from .._record import Record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping

__all__ = [
    "SMALL_LANES",
    "HttpReply",
    "HttpRequest",
    "HttpStream",
    "LaneName",
    "Transport",
    "TransportError",
    "TransportStats",
]

LaneName: TypeAlias = Literal["work", "control", "text"]
SMALL_LANES: Mapping[LaneName, int] = MappingProxyType({"control": 8, "text": 8})  # connections beside those for work

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class HttpRequest(Record, frozen=True):
    """One request.

    Attributes:
        method: HTTP method.
        url: absolute address.
        headers: besides those that HTTP itself needs. They may hold a key, so they are not shown.
        body: sent as it is.
        lane: ``work`` for generation, ``control`` for what must never queue behind it (aborts, health), ``text`` for
            what whoever holds one of work's connections may wait for: the text of a stream's tokens.
        on_sent: called when it has a connection and goes out, at the latest: from then on the server may see it.
        is_fresh: whether it needs a new connection, as a question whether the server takes any: one that is about to
            end serves old connections still. httpx's own transports cannot be told.
        has_abort: whether an abort follows when it is given up. Then its connection stays open a moment for the reply
            that the abort brings; else closing it is all that tells the server.
    """

    method: Literal["GET", "POST"]
    url: str
    headers: Mapping[str, str] = NO_HEADERS
    body: bytes = b""
    lane: LaneName = "work"
    on_sent: Callable[[], None] | None = None
    is_fresh: bool = False
    has_abort: bool = False

    def __repr__(self) -> str:
        return f"HttpRequest({self.method} {self.url}, {len(self.body)} bytes)"


class HttpReply(Record, frozen=True):
    """One complete reply.

    Attributes:
        status: HTTP status.
        body: as it came.
        headers: by name in lower case.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] = NO_HEADERS

    def __repr__(self) -> str:
        return f"HttpReply({self.status}, {len(self.body)} bytes)"


class HttpStream(Protocol):
    """A reply whose body comes piece by piece."""

    @property
    def status(self) -> int:
        """Its HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Its headers, by name in lower case."""
        ...

    async def piece(self) -> bytes | None:
        """The next piece of the body, or None at its end. A wait that was cancelled lost nothing: ask again.

        Raises:
            TransportError: the connection broke, or the stream was closed.
        """
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body's pieces as they come, one :meth:`piece` after the other."""
        ...

    async def aclose(self) -> None:
        """Close the connection, or give it back when the body was read to its end."""
        ...


class TransportError(Exception):
    """No complete reply.

    Attributes:
        was_sent: whether the server may have seen the request.
        was_idle: whether the connection had been used before and broke before a byte of the reply: most likely the
            server closed it for being idle just then, and never read the request.
        was_answered: whether something came that is no reply, or one that is too large: another try will not mend it.
    """

    def __init__(self, message: str, *, was_sent: bool, was_idle: bool = False, was_answered: bool = False) -> None:
        super().__init__(message)
        self.was_sent = was_sent
        self.was_idle = was_idle
        self.was_answered = was_answered


@dataclass(frozen=True, slots=True)
class TransportStats:
    """What a transport's connections do now, and what went through them.

    Attributes:
        busy: connections with a request on them.
        idle: connections that wait for one.
        waiting: requests that wait for a connection.
        opened: connections opened so far.
        requests: requests sent so far.
        sent_bytes: of requests' bodies, so far.
        received_bytes: of replies' bodies, so far.
    """

    busy: int = 0
    idle: int = 0
    waiting: int = 0
    opened: int = 0
    requests: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0


class Transport(Protocol):
    """Sends requests. Cancelling :meth:`send` closes its connection and leaves the others alone."""

    def send(self, request: HttpRequest) -> Coroutine[Any, Any, HttpReply]:
        """Send one request and wait for the whole reply.

        Raises:
            TransportError: there was none.
        """
        ...

    def open(self, request: HttpRequest) -> Coroutine[Any, Any, HttpStream]:
        """Send one request and wait for the header of the reply.

        Raises:
            TransportError: there was none.
        """
        ...

    def stats(self) -> TransportStats:
        """Its connections now, and what went through them."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...
