"""What a client tells an observer, as it happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .errors import Attempt
    from .stats import ServerState

__all__ = ["AttemptFailed", "ClientEvent", "Observer", "SamplesAborted", "ServerStateChanged"]


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """One try of a call failed; it may be repeated.

    Attributes:
        path: of the request.
        attempt: how, and how long it took.
    """

    path: str
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class ServerStateChanged:
    """The server was lost, is full, or is back.

    Attributes:
        base_url: its address.
        state: what it is now.
        seconds: how long the state before lasted.
    """

    base_url: str
    state: ServerState
    seconds: float


@dataclass(frozen=True, slots=True)
class SamplesAborted:
    """The server is being told to stop samples.

    Attributes:
        base_url: its address.
        rids: their request ids.
    """

    base_url: str
    rids: tuple[str, ...]


ClientEvent = AttemptFailed | ServerStateChanged | SamplesAborted
Observer = Callable[[ClientEvent], None]
