"""The expands of one tree that wait, and which of them goes first."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from .heap import Heap

if TYPE_CHECKING:
    from collections.abc import Hashable

    from .ticket import Ticket

__all__ = ["PATIENCE", "QueuedTree"]

PATIENCE = 16
"""Samples that may be admitted past whoever waited longest, for each sample that it asks for."""

_NONE = object()


class QueuedTree:
    """Siblings stay together, the family with the longest warm prefix first, then the older one.

    The ticket that waited longest is passed by :data:`PATIENCE` x its samples of its own tree at most, then it is next.

    Attributes:
        name: the tree's.
        level: its turns so far, on the clock of the lane; the lower the sooner.
        used: samples admitted in this turn, divided by the weight.
        started: its place among the trees in the order in which they started; None before its first ticket went.
    """

    __slots__ = ("_ages", "_families", "_members", "_open", "_passed", "level", "name", "started", "used")

    def __init__(self, name: Hashable) -> None:
        self.name = name
        self.level = 0
        self.used = 0.0
        self.started: int | None = None
        self._ages: OrderedDict[Ticket, int] = OrderedDict()
        self._families: Heap[Hashable] = Heap()
        self._members: dict[Hashable, Heap[Ticket]] = {}
        self._open: Hashable = _NONE  # the family whose siblings go next
        self._passed = 0

    def push(self, ticket: Ticket, arrival: int) -> None:
        """Let a ticket wait; ``arrival`` grows from ticket to ticket."""
        self._ages[ticket] = arrival
        members = self._members.setdefault(ticket.family, Heap())
        members.set(ticket, (-ticket.warm, arrival))
        self._place(ticket.family, members)

    def take(self, ticket: Ticket) -> None:
        """The ticket is admitted: its siblings are next, unless it only went because it had waited too long."""
        if not self._is_overdue():
            self._open = ticket.family
        if ticket is self.oldest:
            self._passed = 0
        else:
            self._passed += ticket.samples
        self._remove(ticket)

    def went(self, family: Hashable) -> None:
        """A ticket of this family was admitted while none waited: its siblings are next."""
        self._open, self._passed = family, 0

    def cancel(self, ticket: Ticket) -> None:
        """The ticket does not wait any longer."""
        if ticket is self.oldest:
            self._passed = 0
        self._remove(ticket)

    @property
    def oldest(self) -> Ticket:
        """Who waited longest."""
        return next(iter(self._ages))

    @property
    def oldest_arrival(self) -> int:
        """When who waited longest came."""
        return self._ages[self.oldest]

    @property
    def head(self) -> Ticket:
        """Who goes next."""
        if self._is_overdue():
            return self.oldest
        family = self._members.get(self._open)
        return family.first if family is not None else self._members[self._families.first].first

    def __len__(self) -> int:
        return len(self._ages)

    def _is_overdue(self) -> bool:
        return self._passed >= PATIENCE * self.oldest.samples

    def _remove(self, ticket: Ticket) -> None:
        del self._ages[ticket]
        members = self._members[ticket.family]
        members.remove(ticket)
        if members:
            self._place(ticket.family, members)
        else:
            del self._members[ticket.family]
            self._families.remove(ticket.family)

    def _place(self, family: Hashable, members: Heap[Ticket]) -> None:
        best = members.first
        self._families.set(family, (-best.warm, self._ages[best]))
