"""Which expands may run now: limit and order in one, for a gate that has the clock and the sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._record import State
from .footprint import Footprints
from .kv_needs import KvNeeds
from .limiter import Limiter, SampleDone
from .order import WaitingExpands

if TYPE_CHECKING:
    from collections.abc import Hashable

    from .limiter import Busy, Limits, Load
    from .ticket import Ticket

__all__ = ["Admission", "Admitted"]

_SILENCE = 4.0  # times what a sample takes, after which a tree is done while the server could do more
_SHORTEST_SILENCE = 0.1  # seconds
_NEWS = 0.2  # weight of the latest in the mean time of a sample


class Admitted(State):
    """An expand that runs.

    Attributes:
        ticket: what it asked for.
        began: when it was admitted.
        running: permits that it has not given back.
        area: sample-seconds of everything in flight until it was admitted.
    """

    ticket: Ticket
    began: float
    running: int
    area: float


class Admission:
    """Permits count samples. Times are seconds on one clock that never goes back; the caller reads it.

    After each call that can free permits or add tickets, call :meth:`pop_ready` until it returns None.
    """

    def __init__(self, limits: Limits | None = None, *, kv_tokens: int | None = None) -> None:
        """Admit nothing yet.

        Args:
            limits: of the samples in flight.
            kv_tokens: what the server's KV cache holds: no tree starts that would push a started one out of it. None:
                not known.
        """
        self._limiter = Limiter(limits)
        self._waiting = WaitingExpands()
        self._footprints = Footprints()
        self._kv = KvNeeds(kv_tokens)
        self._in_flight = 0
        self._speculative = 0
        self._area = 0.0
        self._now = 0.0
        self._sample_seconds = 0.0

    @property
    def limit(self) -> int:
        """Samples that may be in flight."""
        return self._limiter.limit

    @property
    def in_flight(self) -> int:
        """Permits given out."""
        return self._in_flight

    @property
    def waiting(self) -> int:
        """Tickets that wait."""
        return len(self._waiting)

    def push(self, ticket: Ticket) -> None:
        """An expand waits.

        Raises:
            ValueError: it waits already.
        """
        self._waiting.push(ticket)

    def enter(self, ticket: Ticket, now: float) -> Admitted | None:
        """The same as :meth:`push` and :meth:`pop_ready` when nothing waits and there is room, at a third of the cost.

        Returns:
            None when it is to be pushed: it must wait.
        """
        if self._waiting:
            return None
        free, spare = self._room(now)
        if not self._waiting.enter(ticket, free, spare, alone=self._in_flight == 0):
            return None
        return self._admit(ticket, now)

    def cancel(self, ticket: Ticket) -> bool:
        """An expand does not wait any longer.

        Returns:
            False when it had been admitted: its permits come back with :meth:`done` or :meth:`drop`.
        """
        return self._waiting.cancel(ticket)

    def finish(self, tree: Hashable) -> None:
        """No more expands of this tree will come.

        Raises:
            ValueError: some of its expands still wait.
        """
        self._waiting.finish(tree)
        self._footprints.finish(tree)
        self._kv.finish(tree)

    def pop_ready(self, now: float) -> Admitted | None:
        """Give permits to the next expand; None when nobody may go now."""
        if not self._waiting:
            return None
        free, spare = self._room(now)
        ticket = self._waiting.pop_ready(free, spare, alone=self._in_flight == 0)
        return None if ticket is None else self._admit(ticket, now)

    def _room(self, now: float) -> tuple[int, int]:
        """Permits that nobody has, and those of them that nobody is expected to want back soon."""
        self._footprints.expire(now)
        self._kv.expire(now)
        limit = self.limit
        if 2 * self._in_flight <= limit and not self._kv.has_room:
            # Who calls `expand` with one question after the other tells of no tree that it is done. Of 1,024 such ones
            # on a cache for 700 the last 324 went one by one, as each of the others was waited for.
            self._kv.forget_silent(now, max(_SHORTEST_SILENCE, _SILENCE * self._sample_seconds))
        spare = limit - self._footprints.reserved - self._speculative if self._kv.has_room else 0
        return limit - self._in_flight, spare

    def _admit(self, ticket: Ticket, now: float) -> Admitted:
        self._pass_to(now)
        samples = ticket.samples
        self._in_flight += samples
        if ticket.speculative:
            self._speculative += samples
        else:
            self._footprints.add(ticket.tree, samples, now)
            self._kv.add(ticket)
        return Admitted(ticket, now, samples, self._area)

    @property
    def wake_at(self) -> float | None:
        """When :meth:`pop_ready` may return something though nothing else happened; None for never."""
        return self._footprints.next_expiry if self._waiting else None

    def done(self, admitted: Admitted, now: float, *, samples: int, tokens: int) -> None:
        """Samples ended well.

        Args:
            admitted: the expand whose they are.
            now: the time.
            samples: how many of it.
            tokens: what they have generated together.

        Raises:
            ValueError: fewer are still running.
        """
        self._give_back(admitted, now, samples, tokens)
        seconds = now - admitted.began
        self._sample_seconds += (_NEWS if self._sample_seconds else 1.0) * (seconds - self._sample_seconds)
        if seconds > 0:
            in_flight = (self._area - admitted.area) / seconds
            self._limiter.observe(SampleDone(now, seconds, tokens, in_flight, samples))

    def drop(self, admitted: Admitted, now: float, *, samples: int) -> None:
        """Samples failed or were cancelled: their permits come back, and nothing is learnt.

        Raises:
            ValueError: fewer are still running.
        """
        self._give_back(admitted, now, samples, None)

    def observe(self, event: Load | Busy) -> None:
        """The server told its load, or that it is busy."""
        self._limiter.observe(event)

    def _give_back(self, admitted: Admitted, now: float, samples: int, tokens: int | None) -> None:
        ticket = admitted.ticket
        if not 0 < samples <= admitted.running:
            raise ValueError(f"samples = {samples}: {admitted.running} of {ticket.samples} are running")
        self._pass_to(now)
        admitted.running -= samples
        self._in_flight -= samples
        if ticket.speculative:
            self._speculative -= samples
        else:
            self._footprints.remove(ticket.tree, samples, now)
            self._kv.remove(ticket, samples, tokens, now)

    def _pass_to(self, now: float) -> None:
        self._area += self._in_flight * (now - self._now)
        self._now = now
