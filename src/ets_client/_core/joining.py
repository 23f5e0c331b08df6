"""Which waiting expands go in one POST, and whose sample is whose."""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from .ticket import Ticket

__all__ = ["MOST_JOINED", "Joiner", "split"]

T = TypeVar("T")

MOST_JOINED = 64
"""Samples in a POST of several callers. A POST of one caller is as large as it asks for."""

_LOOKED_AT = 64  # partners, so that thousands that do not fit are not read through each time


class Joiner:
    """Finds partners for a ticket that goes now: those that wait with an equal request, of the same class.

    Eight prompts cost the client 0.65 ms in one POST and 5 ms one by one. But the reply comes when the slowest sample
    has ended, so only what starts from the same prefix with the same settings is joined, and no more than a bound.
    """

    def __init__(self, most: int = MOST_JOINED) -> None:
        self._most = most
        self._waiting: dict[tuple[Hashable, bool], OrderedDict[Ticket, None]] = {}

    def push(self, ticket: Ticket) -> None:
        """A ticket waits; one without a request is not looked at."""
        if ticket.request is not None:
            self._waiting.setdefault((ticket.request, ticket.speculative), OrderedDict())[ticket] = None

    def remove(self, ticket: Ticket) -> None:
        """A ticket does not wait any longer; one that is not here is not an error."""
        key = ticket.request, ticket.speculative
        tickets = self._waiting.get(key)
        if tickets is None:
            return
        tickets.pop(ticket, None)
        if not tickets:
            del self._waiting[key]

    def partners(self, ticket: Ticket, free: int) -> list[Ticket]:
        """Who may go with this ticket, the oldest first; nobody is removed.

        Args:
            ticket: who goes; it need not wait any more.
            free: permits that are left when the ticket has its own.
        """
        tickets = self._waiting.get((ticket.request, ticket.speculative), ())
        room = min(free, self._most - ticket.samples)
        found: list[Ticket] = []
        for other in islice(tickets, _LOOKED_AT):
            if other is not ticket and other.samples <= room:
                found.append(other)
                room -= other.samples
        return found


def split(tickets: Sequence[Ticket], samples: Sequence[T]) -> list[list[T]]:
    """Divide the samples of one POST among its callers, in their order.

    Raises:
        ValueError: there are more or fewer samples than they asked for.
    """
    asked = sum(ticket.samples for ticket in tickets)
    if asked != len(samples):
        raise ValueError(f"{len(samples)} samples for callers who asked for {asked}")
    rest = iter(samples)
    return [list(islice(rest, ticket.samples)) for ticket in tickets]
