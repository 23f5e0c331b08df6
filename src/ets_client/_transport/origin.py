"""Where a request goes, as its URL says."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, urlsplit

from .base import TransportError

__all__ = ["DEFAULT_PORTS", "Origin", "Target", "parse_url"]

DEFAULT_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """A server: connections to it serve every request to it."""

    scheme: str
    host: str
    port: int


class Target(NamedTuple):
    """A URL taken apart.

    Attributes:
        origin: the server.
        authority: host and port as the ``Host`` header wants them.
        path: path and query as the request line wants them.
    """

    origin: Origin
    authority: str
    path: str


def parse_url(url: str) -> Target:
    """Take a URL apart.

    Raises:
        TransportError: it is not an http or https address.
    """
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
        name = f"[{host}]" if host and ":" in host else (host or "").encode("idna").decode()
    except ValueError as error:  # UnicodeError of a host is one
        raise TransportError(f"not the URL of a server: {error}", was_sent=False) from error
    if scheme not in DEFAULT_PORTS or not name or port == 0 or parts.username is not None:
        message = "not the URL of a server: one such as http://127.0.0.1:30000/path, without a user in it"
        raise TransportError(message, was_sent=False)
    authority = name if port is None else f"{name}:{port}"
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=-._~")
    query = "?" + quote(parts.query, safe="/?%:@!$&'()*+,;=-._~") if parts.query else ""
    return Target(Origin(scheme, name.strip("[]"), port or DEFAULT_PORTS[scheme]), authority, path + query)
