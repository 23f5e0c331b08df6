"""Runs of token ids as bytes, so that comparing two is one memcmp."""

from __future__ import annotations

__all__ = ["ID_BYTES", "common_bytes"]

ID_BYTES = 4


def common_bytes(key: bytes | bytearray, rest: bytes, unit: int) -> int:
    """Bytes, in whole units, in which two runs begin alike.

    Args:
        key: whole units.
        rest: not longer; its first unit is the key's, by which the key was found.
        unit: bytes that are kept together: of an id, or of a cache page.
    """
    if key == rest:
        return len(key)
    low, high = 1, len(rest) // unit + 1
    while high - low > 1:
        middle = (low + high) // 2
        if rest.startswith(key[low * unit : middle * unit], low * unit):
            low = middle
        else:
            high = middle
    return low * unit
