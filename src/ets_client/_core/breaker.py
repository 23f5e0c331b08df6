"""Whether a server takes requests now, as far as the replies of the last ones tell."""

from __future__ import annotations

from ..stats import ServerState

__all__ = ["Breaker"]

_FIRST_PROBE_WAIT = 0.1
_MOST_PROBE_WAIT = 1.0
_FIRST_ROOM_WAIT = 0.25
_QUIET_TICK = 0.1  # a full queue is told at once; a server that says nothing for so long has let it in


class Breaker:
    """Closed (up), open (down), or letting some through (full). It has no clock: whoever drives it waits.

    In an outage nobody resends: one cheap probe does. A full server gets a request for each that ends, and, as often
    as its refusals allow, one more, then two, four, … until it refuses again.
    """

    def __init__(self) -> None:
        self._state = ServerState.UP
        self._failed_probes = 0
        self._step = 1
        self._refused = False
        self._refusals = 0

    @property
    def state(self) -> ServerState:
        """What is known of the server."""
        return self._state

    @property
    def was_gone(self) -> bool:
        """Whether a probe of this outage has failed: it is one, and not a single broken connection."""
        return self._failed_probes > 0

    def lost(self) -> None:
        """A connection failed or broke, or a reply never came."""
        if self._state is not ServerState.DOWN:
            self._state = ServerState.DOWN
            self._failed_probes = 0

    def refused(self) -> None:
        """The server turned a request away because it was full."""
        if self._state is ServerState.UP:
            self._state = ServerState.FULL
            self._refusals = 0
        self._refused = True

    def back(self) -> None:
        """A probe was answered, or nobody waits for room any more."""
        self._state = ServerState.UP
        self._failed_probes = 0
        self._step = 1
        self._refused = False

    def probe_failed(self) -> float:
        """A probe was not answered.

        Returns:
            The upper end of the wait before the next one, seconds.
        """
        self._failed_probes += 1
        return float(min(_MOST_PROBE_WAIT, _FIRST_PROBE_WAIT * 2.0 ** min(self._failed_probes - 1, 10)))

    def room(self) -> tuple[int, float]:
        """Ask, while the server is full, how many of those that wait may go now.

        Returns:
            How many, and the upper end of the wait before asking again, seconds.
        """
        if self._refused:
            self._refused = False
            self._step = 1
            self._refusals += 1
            return 0, min(_MOST_PROBE_WAIT, _FIRST_ROOM_WAIT * 2.0 ** min(self._refusals - 1, 10))
        step = self._step
        self._step *= 2
        return step, _QUIET_TICK
