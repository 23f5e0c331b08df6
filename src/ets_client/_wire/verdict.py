"""What a judge said of one prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ..usage import Usage

__all__ = ["Verdict"]


class Verdict(NamedTuple):
    """What came back of one prompt.

    Attributes:
        numbers: what they are depends on what was asked; None where the server gave none.
        usage: tokens that it cost.
    """

    numbers: tuple[float, ...] | None
    usage: Usage
