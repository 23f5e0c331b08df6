"""What one client has done so far, counted where it happens."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..errors import FailureKind

__all__ = ["Counters"]


@dataclass(slots=True)
class Counters:
    """Plain numbers; whoever does a thing adds to them.

    Attributes:
        calls: made so far.
        in_flight: requests on the way now.
        samples: of them, samples that the server decodes or queues now.
        failures: attempts that failed, by kind.
        resends: attempts beyond the first of their calls.
        aborts: samples that the server was told to stop.
        predicted: prompt tokens that samples should have found in the server's cache.
        shortfall: of these, tokens that the server computed nevertheless.
    """

    calls: int = 0
    in_flight: int = 0
    samples: int = 0
    failures: Counter[FailureKind] = field(default_factory=Counter["FailureKind"])
    resends: int = 0
    aborts: int = 0
    predicted: int = 0
    shortfall: int = 0
