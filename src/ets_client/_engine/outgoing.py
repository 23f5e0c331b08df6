"""One try of a call, as it goes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Outgoing"]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What is sent.

    Attributes:
        method: HTTP method.
        path: path at the server.
        body: JSON, or empty.
        rids: request ids of the samples in it; they are aborted when the try is given up.
        lane: see :class:`HttpRequest`.
        hides_reply: the reply may hold keys, so errors do not quote it.
        is_admin: whether a server with an admin key wants that one.
    """

    method: Literal["GET", "POST"]
    path: str
    body: bytes = b""
    rids: tuple[str, ...] = ()
    lane: Literal["work", "control"] = "work"
    hides_reply: bool = False
    is_admin: bool = False
