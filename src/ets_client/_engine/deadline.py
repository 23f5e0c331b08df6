"""The end of a call, shared by everything that it does."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from .._record import Record
from ..errors import DeadlineExceededError
from .failure import error_after

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from ..errors import Attempt

__all__ = ["Deadline"]


class Deadline(Record, frozen=True):
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

    def missed(self, attempts: Sequence[Attempt]) -> DeadlineExceededError:
        """The error of a call whose time is over.

        Args:
            attempts: its tries.
        """
        return error_after(DeadlineExceededError, f"no answer within {self.seconds:g} s", attempts)

    def over(self, missed: str, rids: tuple[str, ...]) -> DeadlineExceededError:
        """The error of what was not done in time.

        Args:
            missed: what it was, for the message.
            rids: request ids of the samples that it was about.
        """
        return DeadlineExceededError(f"{missed} within {self.seconds:g} s", rids=rids)

    @contextlib.asynccontextmanager
    async def limit(self, missed: str, rids: tuple[str, ...] = ()) -> AsyncGenerator[None, None]:
        """Stop what stands in this context when the time is over.

        Args:
            missed: what was not done in time, for the message.
            rids: request ids of the samples that it was about, for the error.

        Raises:
            DeadlineExceededError: the time was over.
        """
        try:
            async with asyncio.timeout_at(self.at):
                yield
        except DeadlineExceededError:
            raise  # of something inside, which knows more
        except TimeoutError:
            raise self.over(missed, rids) from None
