"""An expand that waits for permits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._record import Record

if TYPE_CHECKING:
    from collections.abc import Hashable

    from ..prefix import Prefix

__all__ = ["Ticket"]


class Ticket(Record, frozen=True, eq=False):
    """What decides when an expand goes. Two tickets are never equal, whatever they say.

    Attributes:
        samples: permits that it needs, all at once.
        tree: whose it is.
        family: what it has in common with its siblings, such as the parent's fingerprint.
        warm: tokens of its prefix that the server should hold.
        weight: of the tree: one of weight 2 gets twice the samples of one of weight 1 while both wait.
        speculative: it goes only when nothing else waits.
        root: the tree's root, for the room that the tree needs in the KV cache; None: it is not counted.
        path: tokens of its prefix beyond the root.
        step: the most tokens that each sample may generate.
    """

    samples: int
    tree: Hashable
    family: Hashable = None
    warm: int = 0
    weight: float = 1.0
    speculative: bool = False
    root: Prefix | None = None
    path: int = 0
    step: int = 0

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ValueError(f"samples = {self.samples}: a ticket asks for at least one")
        if not 0 < self.weight < float("inf"):
            raise ValueError(f"weight = {self.weight}: a tree's weight is above 0")
