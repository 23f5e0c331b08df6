"""The bytes before a request's body."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .base import TransportError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .origin import Target

__all__ = ["head_with_length", "write_head"]

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BAD_VALUE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")
_OURS = frozenset({"content-length", "transfer-encoding"})


def write_head(method: str, target: Target, headers: Iterable[tuple[str, str]]) -> bytes:
    """The request line and the headers, all but the length of the body.

    Args:
        method: HTTP method.
        target: where to.
        headers: names and values; those that say how long the body is belong to the connection.

    Raises:
        TransportError: a header cannot be sent. Its value is not shown: it may be a key.
    """
    lines = [f"{method} {target.path} HTTP/1.1\r\n"]
    names = {"": True}
    for name, value in headers:
        lower = name.lower()
        if not _NAME.fullmatch(name) or _BAD_VALUE.search(value):
            raise TransportError(f"header {name!r}: its name or value has a character no header has", was_sent=False)
        if lower in _OURS:
            raise TransportError(f"header {name!r}: leave it out, it follows from the body", was_sent=False)
        names[lower] = True
        lines.append(f"{name}: {value}\r\n")
    if "host" not in names:
        lines.insert(1, f"Host: {target.authority}\r\n")
    if "user-agent" not in names:
        lines.append("User-Agent: ets-client\r\n")
    if not _NAME.fullmatch(method):
        raise TransportError(f"method {method!r}: not one of HTTP", was_sent=False)
    return "".join(lines).encode("latin-1")


def head_with_length(method: str, head: bytes, length: int) -> bytes:
    """The head, complete."""
    if length == 0 and method in {"GET", "HEAD"}:
        return head + b"\r\n"
    return b"%bContent-Length: %d\r\n\r\n" % (head, length)
