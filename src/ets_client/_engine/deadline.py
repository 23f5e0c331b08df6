"""The end of a call, shared by everything that it does."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

__all__ = ["Deadline"]


@dataclass(frozen=True, slots=True)
class Deadline:
    """An absolute point in time.

    Attributes:
        at: on the running loop's clock, or None for never.
        seconds: how long it was when it was set, for messages.
    """

    at: float | None
    seconds: float

    @classmethod
    def after(cls, seconds: float | None) -> Deadline:
        """The deadline that many seconds from now, or none."""
        if seconds is None:
            return cls(None, 0.0)
        return cls(asyncio.get_running_loop().time() + seconds, seconds)
