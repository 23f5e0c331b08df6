from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from ets_client._core import order
from ets_client._core.order import TURN, WaitingExpands
from ets_client._core.queued_tree import PATIENCE
from ets_client._core.ticket import Ticket

PLENTY = 1 << 30


def waiting(*tickets: Ticket) -> WaitingExpands:
    expands = WaitingExpands()
    for ticket in tickets:
        expands.push(ticket)
    return expands


def drain(expands: WaitingExpands) -> list[Ticket]:
    order: list[Ticket] = []
    while (ticket := expands.pop_ready(PLENTY, PLENTY, alone=False)) is not None:
        order.append(ticket)
    return order


def pop(expands: WaitingExpands, free: int = PLENTY, spare: int | None = None, *, alone: bool = False) -> Ticket | None:
    return expands.pop_ready(free, free if spare is None else spare, alone=alone)


def test_nothing_comes_of_nothing() -> None:
    assert pop(WaitingExpands(), alone=True) is None


def test_a_tree_that_has_started_goes_before_older_ones_that_have_not() -> None:
    first, second, third = Ticket(1, "a"), Ticket(1, "b"), Ticket(1, "c")
    expands = waiting(first, second, third)
    assert pop(expands) is first
    expands.push(again := Ticket(1, "a"))
    assert drain(expands) == [again, second, third]


def test_trees_start_in_the_order_of_their_arrival() -> None:
    tickets = [Ticket(4, name) for name in "dacb"]
    assert drain(waiting(*tickets)) == tickets


def test_of_two_started_trees_the_one_that_started_first_is_finished_first() -> None:
    expands = waiting(Ticket(4, "a"), Ticket(4, "b"))
    drain(expands)
    late = [Ticket(4, "b") for _ in range(4)]
    early = [Ticket(4, "a") for _ in range(4)]
    for ticket in (*late, *early):
        expands.push(ticket)
    assert drain(expands) == [*early, *late]


@given(
    weights=st.lists(st.sampled_from([0.5, 1.0, 2.0, 3.0]), min_size=2, max_size=5),
    sizes=st.lists(st.integers(1, 32), min_size=1, max_size=8),
    rounds=st.integers(1, 400),
)
def test_trees_that_always_wait_get_samples_in_proportion_to_their_weights(
    weights: list[float], sizes: list[int], rounds: int
) -> None:
    expands, served = WaitingExpands(), [0] * len(weights)
    for number, weight in enumerate(weights):
        expands.push(Ticket(1, number, weight=weight))
    drain(expands)
    for number, weight in enumerate([*weights, *weights]):
        expands.push(Ticket(sizes[0], number % len(weights), weight=weight))
    for number in range(rounds):
        ticket = pop(expands)
        assert ticket is not None
        assert isinstance(ticket.tree, int)
        tree = ticket.tree
        served[tree] += ticket.samples
        expands.push(Ticket(sizes[number % len(sizes)], tree, weight=weights[tree]))
    shares = [samples / weight for samples, weight in zip(served, weights, strict=True)]
    assert max(shares) - min(shares) <= 2 * (TURN + 32 / min(weights))


def test_a_tree_is_not_owed_what_it_did_not_ask_for() -> None:
    expands = waiting(Ticket(1, "idle"), Ticket(1, "busy"))
    drain(expands)
    for _ in range(20):
        expands.push(Ticket(TURN, "busy"))
        drain(expands)
    for _ in range(10):
        expands.push(Ticket(TURN, "busy"))
        expands.push(Ticket(TURN, "idle"))
    assert [ticket.tree for ticket in drain(expands)[:10]].count("idle") <= 5 + 1


def test_a_tree_that_would_start_is_passed_by_a_bounded_number_of_samples() -> None:
    expands = waiting(Ticket(1, "started"))
    drain(expands)
    expands.push(fresh := Ticket(8, "fresh"))
    passed = 0
    for _ in range(10_000):
        expands.push(Ticket(4, "started"))
        ticket = pop(expands, PLENTY, 0)  # nothing to spare for those that would start
        assert ticket is not None
        if ticket is fresh:
            break
        passed += ticket.samples
    assert passed == PATIENCE * 8


def test_permits_kept_for_started_trees_are_not_for_one_that_would_start() -> None:
    expands = waiting(Ticket(1, "a"))
    drain(expands)
    expands.push(fresh := Ticket(4, "b"))
    assert pop(expands, 100, 3) is None
    expands.push(started := Ticket(4, "a"))
    assert pop(expands, 100, 3) is started
    assert pop(expands, 100, 4) is fresh


def test_one_that_asks_for_more_than_the_limit_goes_when_nothing_runs() -> None:
    expands = waiting(huge := Ticket(1000, "a"))
    assert pop(expands, 64) is None
    assert pop(expands, 64, -5, alone=True) is huge


def test_one_that_does_not_fit_is_passed_by_as_many_samples_as_it_asks_for_and_no_more() -> None:
    expands = waiting(big := Ticket(32, "big"))
    passed = 0
    for number in range(100):
        expands.push(Ticket(5, number))
        ticket = pop(expands, 8)
        if ticket is None:
            break
        passed += ticket.samples
    assert 32 - 5 < passed <= 32
    assert pop(expands, 32) is big


def test_a_fresh_tree_that_is_not_the_next_may_pass_it_but_counts() -> None:
    expands = waiting(Ticket(1, "started"))
    drain(expands)
    expands.push(big := Ticket(2, "big"))
    expands.push(small := Ticket(1, "small"))
    assert pop(expands, 1) is small
    for _ in range(PATIENCE * 2 - 1):
        expands.push(one := Ticket(1, "started"))
        assert pop(expands) is one
    expands.push(Ticket(1, "started"))
    assert pop(expands) is big


def test_speculative_expands_go_only_when_no_other_waits_and_only_in_spare_permits() -> None:
    expands = waiting(guess := Ticket(2, "a", speculative=True), sure := Ticket(8, "b"))
    assert pop(expands, 4) is None
    assert pop(expands, 8) is sure
    assert pop(expands, 8, 1) is None
    assert pop(expands, 8, 2) is guess


def test_a_finished_tree_starts_anew() -> None:
    expands = waiting(Ticket(1, "a"))
    drain(expands)
    expands.finish("a")
    expands.finish("never seen")
    expands.push(other := Ticket(1, "b"))
    expands.push(anew := Ticket(1, "a"))
    assert drain(expands) == [other, anew]


def test_a_tree_whose_expands_wait_is_not_finished() -> None:
    expands = waiting(Ticket(1, "a"))
    with pytest.raises(ValueError, match="'a': 1 of its expands still wait"):
        expands.finish("a")


def test_idle_trees_are_forgotten_beyond_a_bound_the_longest_idle_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "_IDLE_TREES", 2)
    expands = waiting(*(Ticket(1, name) for name in "abc"))
    drain(expands)
    expands.push(forgotten := Ticket(1, "a"))
    expands.push(known := Ticket(1, "c"))
    assert drain(expands) == [known, forgotten]


def test_a_ticket_waits_once() -> None:
    expands = waiting(ticket := Ticket(1, "a"))
    with pytest.raises(ValueError, match="waits already"):
        expands.push(ticket)
    assert drain(expands) == [ticket]
    assert not expands.cancel(ticket)


class Waiting(RuleBasedStateMachine):
    """Whatever happens, a ticket is admitted or cancelled once, and what is admitted fits."""

    tickets = Bundle("tickets")

    def __init__(self) -> None:
        super().__init__()
        self.expands = WaitingExpands()
        self.left: set[Ticket] = set()

    @rule(
        target=tickets, samples=st.integers(1, 20), tree=st.integers(0, 4), family=st.integers(0, 3),
        warm=st.integers(0, 3), speculative=st.booleans(), weight=st.sampled_from([0.5, 1.0, 4.0]),
    )  # fmt: skip
    def push(self, samples: int, tree: int, family: int, warm: int, weight: float, *, speculative: bool) -> Ticket:
        ticket = Ticket(samples, tree, family, warm, weight, speculative)
        self.expands.push(ticket)
        self.left.add(ticket)
        return ticket

    @rule(free=st.integers(-5, 30), spare=st.integers(-5, 30), alone=st.booleans())
    def pop(self, free: int, spare: int, *, alone: bool) -> None:
        spare = min(free, spare)
        ticket = self.expands.pop_ready(free, spare, alone=alone)
        if ticket is None:
            assert not (alone and any(not each.speculative for each in self.left))
            assert not (alone and self.left)
            return
        assert alone or ticket.samples <= free
        assert not ticket.speculative or alone or ticket.samples <= spare
        assert not ticket.speculative or all(each.speculative for each in self.left)
        self.left.remove(ticket)

    @rule(ticket=consumes(tickets))
    def cancel(self, ticket: Ticket) -> None:
        assert self.expands.cancel(ticket) == (ticket in self.left)
        self.left.discard(ticket)

    @rule(tree=st.integers(0, 4))
    def finish(self, tree: int) -> None:
        if not any(ticket.tree == tree for ticket in self.left):
            self.expands.finish(tree)

    @invariant()
    def as_many_wait_as_are_left(self) -> None:
        assert len(self.expands) == len(self.left)

    def teardown(self) -> None:
        assert set(drain(self.expands)) == self.left


TestWaiting = Waiting.TestCase
