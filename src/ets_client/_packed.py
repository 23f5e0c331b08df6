"""Token ids as bytes, so that comparing two runs of them is one memcmp."""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["packed"]


def packed(ids: Sequence[int]) -> bytes:
    """Ids as bytes, four each."""
    return pack(f"{len(ids)}i", *ids)
