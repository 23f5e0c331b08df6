"""How a command tells what it is doing: one live line on a terminal, one line per phase elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Generator

    from rich.status import Status

__all__ = ["Progress", "show_progress"]


class Progress:
    """Tells phases and elapsed time on standard error; standard output is kept for results.

    Args:
        console: where to.
        status: the live line, or None where there is no terminal.
    """

    def __init__(self, console: Console, status: Status | None) -> None:
        self._console = console
        self._status = status
        self._began = time.monotonic()
        self._phase = ""

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def phase(self, phase: str, detail: str = "") -> None:
        """Say what is being done now. Call it as often as you like.

        Args:
            phase: what; without a terminal only its changes are printed.
            detail: where in it we are, shown on a terminal alone.
        """
        if self._status is not None:
            self._status.update(f"{phase} {detail}".rstrip() + f" [dim]{self.elapsed:.0f} s[/dim]")
        elif phase != self._phase:
            self.note(f"{phase} ({self.elapsed:.0f} s)")
        self._phase = phase

    def note(self, line: str) -> None:
        """Print a line that stays."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def show_progress(*, live: bool = True) -> Generator[Progress]:
    """Show progress while the block runs.

    Args:
        live: whether a terminal may get a live line; not where other output comes between.
    """
    console = Console(file=sys.stderr)
    if live and console.is_terminal:
        with console.status("") as status:
            yield Progress(console, status)
    else:
        yield Progress(console, None)
