"""Keep a server in the foreground, for Slurm, systemd and containers: pass its output on, stop it when told to."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .processes import die_with_parent, stop_group
from .start import RunningServer, interrupts, start_server

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import FrameType

    from .progress import Progress
    from .survey import Launch

__all__ = ["run_server"]

_POLL_SECONDS = 0.2
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def run_server(launch: Launch, progress: Progress, *, stop_seconds: float, stop_with_parent: bool) -> int:
    """Start a server, pass its output on to standard output, and stop it when this process is told to stop.

    Args:
        launch: what to start.
        progress: told what is being done until it is ready.
        stop_seconds: how long the server may take to end by itself.
        stop_with_parent: whether to stop, too, when the process that started this one ends.

    Returns:
        0 when it was stopped on request, else the server's own status (128 + number of a signal).

    Raises:
        ServerToolError: it did not become ready; nothing of it is left running.
    """
    if stop_with_parent:
        die_with_parent()
    with interrupts():  # no signal may find this process without a handler while the server runs
        server = start_server(launch, progress, echo=_write_out, die_with_starter=True)
        with _stop_requests() as requests:
            progress.note(f"{server.record.name} is ready at {server.endpoint.base_url} ({progress.elapsed:.0f} s)")
            return _serve(server, requests, stop_seconds)


def _serve(server: RunningServer, requests: list[int], stop_seconds: float) -> int:
    try:
        while server.process.poll() is None and not requests:
            time.sleep(_POLL_SECONDS)
            server.log.read(remember=False)
    finally:
        stop_group(server.record.process, stop_seconds)  # workers too, when the leader ended by itself
        status = server.process.wait()
        server.folder.forget(server.record)
    server.log.read(remember=False)
    if requests:
        return 0
    return status if status >= 0 else 128 - status


def _write_out(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


@contextmanager
def _stop_requests() -> Generator[list[int]]:
    requests: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        requests.append(number)

    previous = {number: signal.signal(number, remember) for number in _STOP_SIGNALS}
    try:
        yield requests
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
