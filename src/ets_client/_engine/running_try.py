"""One try of a call, while it runs."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from msgspec.structs import replace

from .._core.pace import Work, patient
from .scope import Scope

if TYPE_CHECKING:
    from typing import Any

    from .aborter import Live
    from .course import Course
    from .outgoing import Outgoing
    from .pending import PendingCall
    from .server import Server

__all__ = ["RunningTry"]


class RunningTry(Scope):
    """What is on its way, and how long it may take.

    Attributes:
        outgoing: what went out, without its body: what waits for a reply holds as little as it can.
        samples: what runs on the server once it has.
        start: when it began, on the loop's clock.
        in_flight: samples that it runs beside, its own included.
        call: the call of a search whose samples they are.
        deadline: when its call is out of time, or infinity.
        sent: when it got its connection and went out, or infinity.
        receiving: its streamed reply, while that is not there.
    """

    __slots__ = (
        "_course",
        "_server",
        "call",
        "deadline",
        "in_flight",
        "outgoing",
        "receiving",
        "samples",
        "sent",
        "start",
    )

    def __init__(self, server: Server, course: Course[Any], outgoing: Outgoing, call: PendingCall | None) -> None:
        """Begin one.

        Args:
            server: where it goes.
            course: of its call.
            outgoing: what will go out, without its body.
            call: the call of a search whose samples they are, or None.
        """
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine of ours runs in one
        super().__init__(task)
        self._server = server
        self._course = course
        self.outgoing = outgoing
        self.samples = server.live(outgoing.rids if outgoing.is_abortable else ())
        self.start = asyncio.get_running_loop().time()
        self.in_flight = server.counters.samples
        self.call = call
        self.deadline = math.inf if course.deadline.at is None else course.deadline.at
        self.sent = math.inf
        self.receiving: asyncio.Task[Any] | None = None

    @property
    def live(self) -> Live:
        """The samples that may run: none before it went out."""
        return replace(self.samples, sent=self.sent) if self.sent < math.inf else replace(self.samples, rids=())

    def went_out(self) -> None:
        """It has its connection: from now on the server may see it."""
        self.sent = asyncio.get_running_loop().time()

    def limit(self) -> float:
        """Seconds after which it is given up, by what is known now."""
        work = self._course.work
        if not isinstance(work, Work):
            return patient(work, self._course.unanswered)
        in_flight = max(self.in_flight, self._server.counters.samples)
        return self._server.pace.limit(work, in_flight, self._course.unanswered)

    def due(self) -> float:
        """When it is given up, on the loop's clock, by what is known now."""
        return self.sent + self.limit()

    def stop(self) -> bool:
        """Stop its samples in the background.

        Returns:
            False when nothing has gone out.
        """
        live = self.live
        self._server.aborter.stop_later(live)
        return bool(live.rids)
