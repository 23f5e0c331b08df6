from __future__ import annotations

from ets_client import ClientStats, FailureKind, ServerState


def test_stats_print_as_a_table() -> None:
    stats = ClientStats(
        server=ServerState.UP,
        calls=12345,
        in_flight=0,
        samples_in_flight=0,
        waiting=0,
        waiting_for_turn=0,
        admission_limit=None,
        failures={FailureKind.DISCONNECT: 2, FailureKind.BUSY: 1},
        resends=3,
        retry_budget=10.25,
        aborts=0,
        connections_busy=0,
        connections_idle=0,
        connections_waited_for=0,
        connections_opened=1,
        requests=0,
        sent_bytes=0,
        received_bytes=0,
    )
    rows = dict(line.split("  ", 1) for line in str(stats).splitlines())
    shown = {name: value.strip() for name, value in rows.items()}
    assert (shown["server"], shown["calls"], shown["retry budget"]) == ("up", "12,345", "10.2")
    assert shown["failures"] == "busy 1, disconnect 2"
    assert (shown["predicted reuse"], shown["reuse shortfall"]) == ("0", "0")


def test_no_failures_are_called_none() -> None:
    stats = ClientStats(ServerState.UP, 0, 0, 0, 0, 0, None, {}, 0, 0.0, 0, 0, 0, 0, 0, 0, 0, 0)
    assert "failures                none" in str(stats)
