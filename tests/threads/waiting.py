"""Waiting in threads: for a condition, with a bound."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

BOUND = 20.0


def until(condition: Callable[[], object]) -> None:
    """Wait until it holds."""
    end, pause = time.monotonic() + BOUND, threading.Event()
    while not condition():
        assert time.monotonic() < end, f"not within {BOUND:g} s"
        pause.wait(0.002)


def interrupt_main_thread_when(condition: Callable[[], object]) -> threading.Thread:
    """Press Ctrl-C, so to say, as soon as it holds."""

    def press() -> None:
        until(condition)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=press, daemon=True)
    thread.start()
    return thread
