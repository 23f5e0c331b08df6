"""One sample as the shadow of the server's cache sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._record import State

if TYPE_CHECKING:
    from ..prefix import Prefix

__all__ = ["OVER", "RunningSample"]

OVER = -1  # the epoch of samples that have ended


class RunningSample(State, gc=False):  # nothing of it leads back to it
    """One sample between :meth:`Shadow.begin` and :meth:`Shadow.finish` or :meth:`Shadow.lost`.

    Callers read the first three; the rest is the shadow's own.

    Attributes:
        prefix: its prompt.
        predicted: tokens that it should find in the cache, as was thought before it was sent.
        is_prefilled: whether its whole prompt is known to be computed.
        node: where the part of the tree that it holds ends.
        held_in, held_at: when it is over, the mark of where that was.
        begun: number of the last use when it was sent.
        epoch: which cache it runs in: another one after each flush.
        held: tokens that it occupies beside the tree.
        flight: its cold prompt among those that are being computed; 0 when nobody can wait for it.
    """

    prefix: Prefix
    predicted: int
    node: int
    begun: int
    epoch: int
    held: int
    is_prefilled: bool = False
    flight: int = 0
    held_in: object = None
    held_at: int = 0

    def mark(self, prefix: Prefix) -> None:
        """Remember where a prefix is held that begins with what this sample, which is over, brought into the cache."""
        prefix.held_in, prefix.held_at = self.held_in, self.held_at

    def __repr__(self) -> str:
        state = "over" if self.epoch == OVER else "prefilled" if self.is_prefilled else "sent"
        return f"RunningSample({len(self.prefix)} prompt tokens, {self.predicted} predicted, {state})"
