"""Request ids: of one length, so that none is the beginning of another, which SGLang would abort with it."""

from __future__ import annotations

import os

__all__ = ["new_rid", "new_rids"]

_BYTES = 16


def new_rid() -> str:
    """32 hexadecimal digits that nobody has used."""
    return os.urandom(_BYTES).hex()


def new_rids(count: int) -> tuple[str, ...]:
    """As many of them."""
    digits = os.urandom(_BYTES * count).hex()  # one system call; a uuid4 each costs four times as much
    return tuple([digits[start : start + 2 * _BYTES] for start in range(0, len(digits), 2 * _BYTES)])
