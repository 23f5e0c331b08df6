"""No garbage collection where much is made and nothing is garbage."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["without_collections"]


@contextmanager
def without_collections() -> Generator[None]:
    """No garbage collection meanwhile; not to be held over an ``await``.

    A question's lines make some 10,000 lists at once and no cycle: looking through them again and again takes 40 % of
    the time (benchmarks/journal.py).
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
