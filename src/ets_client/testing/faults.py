"""Faults on purpose: which request meets which. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .chance import fraction

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "Answer",
    "Cut",
    "Fault",
    "FaultPlan",
    "Garbage",
    "Late",
    "NeverAnswer",
    "QueueFull",
    "Raw",
    "Refuse",
    "Reset",
    "Rule",
    "ServerError",
    "Slow",
    "Stall",
]


@dataclass(frozen=True, slots=True)
class Refuse:
    """The request's connection is reset, all others are closed, new ones are refused for some seconds: a restart.

    The cache stays: see :meth:`FakeServer.restart`.
    """

    seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset (RST).

    Attributes:
        after: so many bytes of the reply come first, its header included; None for a reset before it is carried out.
    """

    after: int | None = None


@dataclass(frozen=True, slots=True)
class Stall:
    """So many bytes of the reply come, and then nothing; the connection stays open."""

    after: int = 0


@dataclass(frozen=True, slots=True)
class NeverAnswer:
    """The request is read and forgotten; the connection stays open."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Another reply; the request is not carried out."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class ServerError:
    """A 500 as Python's errors give it: plain text, and the connection is closed."""


@dataclass(frozen=True, slots=True)
class QueueFull:
    """The 503 of a full queue."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """The request is carried out, but the body of its reply is so many bytes that are no JSON."""

    size: int = 64


@dataclass(frozen=True, slots=True)
class Cut:
    """The request is carried out, but a share of its reply's body comes, and its header fits that: broken JSON."""

    share: float = 0.5


@dataclass(frozen=True, slots=True)
class Raw:
    """These bytes instead of a reply, header and all, and the connection closes; the request is not carried out."""

    data: bytes = b"\x15\x03\x01\x00\x02\x02\x46"  # what a server that speaks TLS says to HTTP


@dataclass(frozen=True, slots=True)
class Slow:
    """The reply comes in pieces of so many bytes, with a pause after each."""

    bytes_at_once: int = 16
    seconds: float = 0.01


@dataclass(frozen=True, slots=True)
class Late:
    """The request is read, and carried out only after some seconds."""

    seconds: float = 1.0


Fault = Refuse | Reset | Stall | NeverAnswer | Answer | ServerError | QueueFull | Garbage | Raw | Cut | Slow | Late


@dataclass(slots=True)
class Rule:
    """When a fault comes.

    Attributes:
        fault: what happens.
        path: of which requests; None for all.
        nth: to the requests with these numbers among those of the path, the first being 1; empty for all.
        probability: to a share of those.
        times: so often at most; None for ever.
    """

    fault: Fault
    path: str | None = "/generate"
    nth: frozenset[int] = frozenset()
    probability: float = 1.0
    times: int | None = None
    seen: int = field(default=0, init=False)
    used: int = field(default=0, init=False)


class FaultPlan:
    """Rules; the first that fits a request decides. Rules may be added while the server runs.

    >>> plan = FaultPlan(seed=7).on(Reset(after=20), nth=2).on(QueueFull(), probability=0.1)
    """

    def __init__(self, rules: Iterable[Rule] = (), *, seed: int = 0) -> None:
        """Make a plan.

        Args:
            rules: the rules, in order.
            seed: of the probabilities: the same requests meet the same faults.
        """
        self._rules = list(rules)
        self._seed = seed
        self._asked = 0

    def on(
        self,
        fault: Fault,
        path: str | None = "/generate",
        *,
        nth: int | Iterable[int] = (),
        probability: float = 1.0,
        times: int | None = None,
    ) -> FaultPlan:
        """Add a rule.

        Args:
            fault: what happens.
            path: see :class:`Rule`; the others likewise.
            nth: one number or several.
            probability: from 0 to 1.
            times: so often at most.

        Returns:
            This plan, so that calls can be chained.
        """
        if not 0 <= probability <= 1:
            raise ValueError(f"probability = {probability}: from 0 to 1")
        numbers = frozenset({nth} if isinstance(nth, int) else nth)
        if any(number < 1 for number in numbers):
            raise ValueError(f"nth = {sorted(numbers)}: the first request is 1")
        self._rules.append(Rule(fault, path, numbers, probability, times))
        return self

    def clear(self) -> None:
        """No more faults."""
        self._rules.clear()

    def match(self, path: str) -> Fault | None:
        """The fault that the next request to a path meets."""
        if not self._rules:
            return None
        self._asked += 1
        found: Fault | None = None
        for place, rule in enumerate(self._rules):
            if rule.path is not None and rule.path != path:
                continue
            rule.seen += 1
            if found is not None or (rule.nth and rule.seen not in rule.nth):
                continue
            if rule.times is not None and rule.used >= rule.times:
                continue
            if rule.probability < 1 and fraction(self._seed, self._asked, place) >= rule.probability:
                continue
            rule.used += 1
            found = rule.fault
        return found

    def __repr__(self) -> str:
        return f"FaultPlan({len(self._rules)} rules)"
