from __future__ import annotations

from ets_client import ServerState
from ets_client._core.breaker import Breaker


def test_a_server_is_up_until_something_says_otherwise() -> None:
    assert Breaker().state is ServerState.UP


def test_one_broken_connection_is_no_outage_until_a_probe_fails() -> None:
    breaker = Breaker()
    breaker.lost()
    assert (breaker.state, breaker.was_gone) == (ServerState.DOWN, False)
    breaker.probe_failed()
    breaker.lost()  # of another call: still the same outage
    assert breaker.was_gone
    breaker.back()
    assert (breaker.state, breaker.was_gone) == (ServerState.UP, False)


def test_waits_between_probes_grow_to_a_second() -> None:
    breaker = Breaker()
    breaker.lost()
    assert [breaker.probe_failed() for _ in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_a_full_server_is_tried_with_one_then_two_then_four_until_it_refuses_again() -> None:
    breaker = Breaker()
    breaker.refused()
    assert breaker.state is ServerState.FULL
    assert [breaker.room() for _ in range(4)] == [(0, 0.25), (1, 0.1), (2, 0.1), (4, 0.1)]
    breaker.refused()
    assert [breaker.room() for _ in range(2)] == [(0, 0.5), (1, 0.1)]


def test_waits_for_room_grow_to_a_second() -> None:
    breaker = Breaker()
    waits: list[float] = []
    for _ in range(5):
        breaker.refused()
        waits.append(breaker.room()[1])
    assert waits == [0.25, 0.5, 1.0, 1.0, 1.0]


def test_a_full_server_that_is_lost_is_down_and_a_refusal_does_not_make_it_up() -> None:
    breaker = Breaker()
    breaker.refused()
    breaker.lost()
    assert breaker.state is ServerState.DOWN
    breaker.refused()  # a late reply
    assert breaker.state is ServerState.DOWN
