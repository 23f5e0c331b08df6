"""One try of a call, as it goes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from .._record import Untracked
from .._transport.base import NO_HEADERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .._transport.base import LaneName

__all__ = ["Outgoing"]


class Outgoing(Untracked, frozen=True):
    """What is sent.

    Attributes:
        method: HTTP method.
        path: path at the server.
        body: JSON, or empty.
        rids: request ids of the samples in it; they are aborted when the try is given up.
        lane: see :class:`HttpRequest`.
        hides_reply: the reply may hold keys, so errors do not quote it.
        is_admin: whether a server with an admin key wants that one.
        headers: besides the key and the content's type.
        is_abortable: whether the server can stop these samples by their ids; else giving up only closes the connection.
    """

    method: Literal["GET", "POST"]
    path: str
    body: bytes = b""
    rids: tuple[str, ...] = ()
    lane: LaneName = "work"
    hides_reply: bool = False
    is_admin: bool = False
    headers: Mapping[str, str] = NO_HEADERS
    is_abortable: bool = True
