"""Numbers that look random and are the same every time. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["fraction", "mix"]

_MASK = (1 << 64) - 1


def mix(*numbers: int) -> int:
    """A 64-bit hash of some numbers (splitmix64): unlike ``hash()``, the same in every Python."""
    return _mix(numbers)


def fraction(*numbers: int) -> float:
    """A number in [0, 1) for some numbers."""
    return (_mix(numbers) >> 11) * (1.0 / (1 << 53))


def _mix(numbers: Iterable[int]) -> int:
    state = 0x9E3779B97F4A7C15
    for number in numbers:
        state = (state ^ (number & _MASK)) * 0xBF58476D1CE4E5B9 & _MASK
        state ^= state >> 27
        state = (state * 0x94D049BB133111EB + 0x9E3779B97F4A7C15) & _MASK
        state ^= state >> 31
    return state
