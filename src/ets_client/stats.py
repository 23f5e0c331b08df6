"""What a client has done so far and does now."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .errors import FailureKind

__all__ = ["ClientStats", "ReuseShortfallWarning", "ServerState"]


class ReuseShortfallWarning(UserWarning):
    """A server computed more than 2 % of the prompt tokens again that it should have had in its cache.

    Each client says it once. The message names the first token that was computed again, and text near it.
    """


class ServerState(StrEnum):
    """What a client knows of its server."""

    UP = "up"
    DOWN = "down"  # it does not answer; one probe at a time asks whether it is back
    FULL = "full"  # it turns requests away; a few at a time are let through


@dataclass(frozen=True, slots=True)
class ClientStats:
    """Counts since the client was made, and the present state; ``print`` it.

    Attributes:
        server: what is known of the server.
        calls: made so far.
        in_flight: requests on the way now.
        samples_in_flight: of them, samples that the server decodes or queues now.
        waiting: calls that wait until the server is back or has room.
        waiting_for_turn: expands that wait to be admitted.
        admission_limit: samples that may be in flight now, or None for no limit.
        failures: attempts that failed, by kind.
        resends: attempts beyond the first of their calls.
        retry_budget: resends that are allowed at this moment.
        aborts: samples that the server was told to stop.
        connections_busy: connections with a request on them.
        connections_idle: open connections that wait for one.
        connections_waited_for: requests that wait for a connection.
        connections_opened: so far.
        requests: sent so far, resends, aborts and probes included.
        sent_bytes: bodies of requests.
        received_bytes: bodies of replies.
        predicted_reuse: prompt tokens that the server should have found in its cache, by this client's model of
            it; each prediction is made before its sample is sent. Of samples whose reuse the server told.
        reuse_shortfall: of these, tokens that it computed nevertheless.
        waiting_for_departure: expands that wait to leave together (``departure_interval``).
    """

    server: ServerState
    calls: int
    in_flight: int
    samples_in_flight: int
    waiting: int
    waiting_for_turn: int
    admission_limit: int | None
    failures: Mapping[FailureKind, int]
    resends: int
    retry_budget: float
    aborts: int
    connections_busy: int
    connections_idle: int
    connections_waited_for: int
    connections_opened: int
    requests: int
    sent_bytes: int
    received_bytes: int
    predicted_reuse: int = 0
    reuse_shortfall: int = 0
    waiting_for_departure: int = 0

    def __str__(self) -> str:
        rows: list[tuple[str, str]] = []
        for field in fields(self):
            value: object = getattr(self, field.name)
            if field.name == "failures":
                value = ", ".join(f"{kind} {count}" for kind, count in sorted(self.failures.items())) or "none"
            elif isinstance(value, float):
                value = f"{value:.1f}"
            elif isinstance(value, int):
                value = f"{value:,}"
            rows.append((field.name.replace("_", " "), str(value)))
        return "\n".join(f"{name:24}{value}" for name, value in rows)
