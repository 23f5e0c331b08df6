"""Runs the scheduler's steps in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .job import Job
    from .scheduler import Scheduler
    from .step import Step
    from .timing import Clock, Costs, Timer

__all__ = ["Engine"]


class Engine:
    """One forward pass after another, as long as there is work."""

    def __init__(self, scheduler: Scheduler, clock: Clock, costs: Costs, on_crash: Callable[[Exception], None]) -> None:
        """Make it.

        Args:
            scheduler: decides.
            clock: whose time passes.
            costs: how long a step takes.
            on_crash: told of an error in a step, which ends the server.
        """
        self.scheduler = scheduler
        self._clock = clock
        self._costs = costs
        self._on_crash = on_crash
        self._timer: Timer | None = None
        self._idle_waiters: list[Callable[[], None]] = []

    def submit(self, jobs: list[Job]) -> None:
        """Take samples that arrive together."""
        now = self._clock.now()
        for job in jobs:
            job.submitted = now
            self.scheduler.submit(job)
        self.wake()

    def wake(self) -> None:
        """See whether there is work."""
        # Not at once: what arrives in the same pass of the loop shares the step, as it would at the real server.
        if self._timer is None:
            self._timer = self._clock.call_later(0, self._begin)

    def when_idle(self, callback: Callable[[], None]) -> None:
        """Call something once nothing runs or waits any more."""
        self._idle_waiters.append(callback)
        self.wake()

    def stop(self) -> None:
        """Do no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin(self) -> None:
        self._timer = None
        try:
            step = self.scheduler.next_step()
        except Exception as error:  # noqa: BLE001 - whatever goes wrong in a scheduler ends the server
            self._on_crash(error)
            return
        if step is not None:
            self._timer = self._clock.call_later(self._costs.of(step), lambda: self._end(step))
        elif self.scheduler.is_idle and self._idle_waiters:
            waiters, self._idle_waiters = self._idle_waiters, []
            for callback in waiters:
                callback()

    def _end(self, step: Step) -> None:
        self._timer = None
        try:
            self.scheduler.finish_step(step, self._clock.now())
        except Exception as error:  # noqa: BLE001 - see above
            self._on_crash(error)
            return
        self._begin()
