"""Request ids: of one length, so that none is the beginning of another, which SGLang would abort with it."""

from __future__ import annotations

import os
from random import Random

__all__ = ["new_rid", "new_rids"]

_DIGITS = 32

# Seeded by the system, and again in a forked child. os.urandom is a system call for every request, in which the loop's
# thread gives the interpreter to any other that waits for it.
_random = Random()  # noqa: S311 - an id is no secret
os.register_at_fork(after_in_child=_random.seed)


def new_rid() -> str:
    """32 hexadecimal digits that nobody has used."""
    return new_rids(1)[0]


def new_rids(count: int) -> tuple[str, ...]:
    """As many of them."""
    length = _DIGITS * count
    digits = f"{_random.getrandbits(4 * length):0{length}x}"
    return tuple([digits[start : start + _DIGITS] for start in range(0, length, _DIGITS)])
