from __future__ import annotations

import pytest

from ets_client._core.ticket import Ticket


def test_two_tickets_are_never_equal() -> None:
    assert Ticket(1, "a") != Ticket(1, "a")


@pytest.mark.parametrize("weight", [0, -1.0, float("inf"), float("nan")])
def test_a_weight_is_above_zero_and_finite(weight: float) -> None:
    with pytest.raises(ValueError, match="weight = "):
        Ticket(1, "a", weight=weight)


def test_a_ticket_asks_for_a_sample_at_least() -> None:
    with pytest.raises(ValueError, match="samples = 0"):
        Ticket(0, "a")
