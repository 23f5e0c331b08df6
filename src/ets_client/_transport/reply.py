"""Replies of HTTP/1.1 read from bytes, however they are split. llhttp, Node's parser, does the work."""

from __future__ import annotations

import math

import httptools

from .base import TransportError

__all__ = ["ReplyReader"]

_MOST_HEAD = 64 * 1024
_NO_BODY = frozenset({204, 304})


class ReplyReader:
    """Reads one reply after another from one connection.

    Attributes:
        status: of the reply that is read; 0 until its headers are complete.
        raw_headers: of this reply, as they came.
        pieces: of its body, as they came, until they are taken.
        size: bytes of the body so far.
        is_complete: whether all of it is here. True also before the first.
        has_begun: whether a byte of it has come.
        keeps_alive: whether the connection may serve another exchange, once the reply is complete.
    """

    __slots__ = (
        "_error",
        "_is_interim",
        "_most_body",
        "_overhead",
        "_parser",
        "_skips_body",
        "_streams",
        "has_begun",
        "is_complete",
        "keeps_alive",
        "pieces",
        "raw_headers",
        "size",
        "status",
    )

    def __init__(self) -> None:
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._error: TransportError | None = None
        self._is_interim = False
        self._overhead = 0
        self._skips_body = False
        self._streams = False
        self._most_body: float = 0
        self.status = 0
        self.raw_headers: list[tuple[bytes, bytes]] = []
        self.pieces: list[bytes] = []
        self.size = 0
        self.is_complete = True
        self.has_begun = False
        self.keeps_alive = True

    def begin(self, most_body: float, *, streams: bool = False, skips_body: bool = False) -> None:
        """Expect a reply.

        Args:
            most_body: bytes that its body may have.
            streams: the body of a 2xx is taken as it comes, and may be of any size.
            skips_body: the request was a HEAD: the reply ends with its headers, and the connection with it.
        """
        self._most_body = most_body
        self._streams = streams
        self._skips_body = skips_body
        self._overhead = self.size = self.status = 0
        self.raw_headers = []
        self.pieces = []
        self.is_complete = self.has_begun = False

    def feed(self, data: bytes | memoryview) -> None:
        """Take bytes of the reply.

        Raises:
            TransportError: this is no reply, or it is too large.
        """
        assert self._parser is not None  # noqa: S101 - the connection is open
        had = self.size
        is_first, self.has_begun = not self.has_begun, True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            raise _unusable(f"the server wants another protocol (status {self._parser.get_status_code()})") from None
        except httptools.HttpParserError as error:
            if self.is_complete:  # more bytes than one reply: it is good, the connection is not
                self.keeps_alive = False
                return
            if self._error is None:
                raise _unusable(_not_http(bytes(data[:24]) if is_first else b"", error)) from error
        if self._error is not None:
            raise self._error
        if self.is_complete:
            return
        if self.size > had:
            self._overhead = 0
        else:
            # llhttp keeps a header until it is whole, trailers too: without a bound one header could fill the memory.
            self._overhead += len(data)
            if self._overhead > _MOST_HEAD:
                raise _unusable(f"the reply's headers are larger than {_MOST_HEAD} bytes: is it an SGLang server?")

    def feed_eof(self) -> None:
        """Take the end of the connection, with which a reply without a length is complete.

        Raises:
            TransportError: the reply was not complete.
        """
        if self.status and not self._has_length():
            self.is_complete = True
            self.keeps_alive = False
        elif self.has_begun:
            raise TransportError("the server closed the connection in the middle of the reply", was_sent=True)
        else:
            raise TransportError("the server closed the connection before it answered", was_sent=True)

    def headers(self) -> dict[str, str]:
        """The headers by name in lower case; what came twice is joined with a comma."""
        found: dict[str, str] = {}
        for raw_name, raw_value in self.raw_headers:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            found[name] = f"{found[name]}, {value}" if name in found else value
        return found

    def take(self) -> bytes:
        """What is here of the body and was not taken before: an idle connection must not keep its last reply alive."""
        pieces, self.pieces = self.pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    @property
    def is_open(self) -> bool:
        """Whether it may read another reply."""
        return self._parser is not None

    def close(self) -> None:
        """Read no more. The parser and its reader hold each other: this spares the garbage collector."""
        self._parser = None

    def _has_length(self) -> bool:
        headers = self.headers()
        return "content-length" in headers or headers.get("transfer-encoding", "").lower().endswith("chunked")

    # -- httptools ----------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A reply begins."""
        if self.is_complete:
            raise _unusable("more bytes than one reply")  # feed() takes it from llhttp
        self.raw_headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which nobody reads."""
        if not self.status:
            self.raw_headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The body follows."""
        assert self._parser is not None  # noqa: S101 - it calls
        status = self._parser.get_status_code()
        if status < 200:  # 100 Continue, 103 Early Hints: the reply is still to come
            self._is_interim = True
            return
        self.status = status
        if self._streams and status < 300:
            self._most_body = math.inf
        if self._skips_body:
            self.is_complete, self.keeps_alive = True, False
            return
        for name, value in self.raw_headers:
            if len(name) == 14 and name.lower() == b"content-length" and status not in _NO_BODY:
                self._check_size(int(value))

    def on_body(self, body: bytes) -> None:
        """A piece of it."""
        self.size += len(body)
        if self.size > self._most_body:
            self._check_size(self.size)
        else:
            self.pieces.append(body)

    def on_message_complete(self) -> None:
        """The reply is here in full."""
        assert self._parser is not None  # noqa: S101 - it calls
        if self._is_interim:
            self._is_interim = False
        elif not self._skips_body and self._error is None:
            self.is_complete = True
            self.keeps_alive = self._parser.should_keep_alive()

    def _check_size(self, size: int) -> None:
        if size > self._most_body:
            self.pieces.clear()
            self._error = _unusable(
                f"the reply's body has {size} bytes or more, the most is {self._most_body:.0f}: ask for fewer samples, "
                "tokens or log-probabilities at once"
            )


def _unusable(message: str) -> TransportError:
    return TransportError(message, was_sent=True, was_answered=True)


def _not_http(start: bytes, error: Exception) -> str:
    if start[:1] in {b"\x15", b"\x16"}:
        return "the server speaks TLS on this port: use an https:// address"
    shown = f"; it begins with {start!r}" if start else ""
    return f"the reply is not HTTP ({str(error) or 'garbage'}){shown}: is it an SGLang server?"
