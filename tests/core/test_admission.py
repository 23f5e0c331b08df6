from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ets_client._core.admission import Admission, Admitted
from ets_client._core.limiter import Busy, Limits
from ets_client._core.ticket import Ticket
from ets_client.prefix import Origin, Prefix


def test_samples_take_permits_and_give_them_back() -> None:
    admission = Admission(Limits.fixed(8))
    first, second = Ticket(6, "a"), Ticket(4, "a")
    admission.push(first)
    admission.push(second)
    admitted = admission.pop_ready(0.0)
    assert admitted is not None
    assert (admitted.ticket, admitted.running, admission.in_flight) == (first, 6, 6)
    assert admission.pop_ready(0.0) is None
    admission.done(admitted, 1.0, samples=2, tokens=20)
    later = admission.pop_ready(1.0)
    assert later is not None
    assert later.ticket is second
    admission.drop(admitted, 1.0, samples=4)
    assert (admission.in_flight, admission.waiting) == (4, 0)


@pytest.mark.parametrize("samples", [0, -1, 3])
def test_no_more_permits_come_back_than_were_given(samples: int) -> None:
    admission = Admission(Limits.fixed(8))
    admission.push(Ticket(2, "a"))
    admitted = admission.pop_ready(0.0)
    assert admitted is not None
    with pytest.raises(ValueError, match=f"samples = {samples}: 2 of 2 are running"):
        admission.drop(admitted, 1.0, samples=samples)
    admission.drop(admitted, 1.0, samples=2)
    with pytest.raises(ValueError, match="0 of 2 are running"):
        admission.drop(admitted, 1.0, samples=1)


def test_permits_are_kept_for_the_next_level_and_it_says_until_when() -> None:
    admission = Admission(Limits.fixed(16))
    admission.push(Ticket(16, "a"))
    admission.push(other := Ticket(16, "b"))
    admitted = admission.pop_ready(0.0)
    assert admitted is not None
    assert admission.wake_at is None
    admission.push(sideline := Ticket(4, "a"))
    admission.done(admitted, 2.0, samples=8, tokens=10)
    between = admission.pop_ready(2.0)
    assert between is not None
    assert between.ticket is sideline
    admission.done(admitted, 2.0, samples=8, tokens=10)
    assert admission.pop_ready(2.0) is None
    wake = admission.wake_at
    assert wake is not None
    admission.drop(between, wake, samples=4)
    started = admission.pop_ready(wake)
    assert started is not None
    assert started.ticket is other
    assert admission.wake_at is None


def test_a_finished_tree_keeps_nothing() -> None:
    admission = Admission(Limits.fixed(16))
    admission.push(Ticket(8, "a"))
    admission.push(Ticket(8, "b"))
    one, two = admission.pop_ready(0.0), admission.pop_ready(0.0)
    assert one is not None
    assert two is not None
    admission.push(Ticket(8, "c"))
    admission.done(one, 1.0, samples=8, tokens=8)
    assert admission.pop_ready(1.0) is None
    admission.finish("a")
    assert admission.pop_ready(1.0) is not None


def test_speculative_samples_leave_the_footprint_of_their_tree_alone() -> None:
    admission = Admission(Limits.fixed(8))
    admission.push(Ticket(8, "a", speculative=True))
    admitted = admission.pop_ready(0.0)
    assert admitted is not None
    admission.push(sure := Ticket(8, "b"))
    assert admission.pop_ready(0.0) is None
    admission.drop(admitted, 0.0, samples=8)
    later = admission.pop_ready(0.0)
    assert later is not None
    assert later.ticket is sure


def test_it_learns_from_samples_and_from_refusals() -> None:
    admission, now = Admission(Limits(first=8, least=1)), 0.0
    for _ in range(8):
        admission.push(Ticket(8, "a"))
        admitted = admission.pop_ready(now)
        assert admitted is not None
        now += 1.0
        admission.done(admitted, now, samples=8, tokens=80)
    grown = admission.limit
    assert grown > 8
    admission.observe(Busy(now))
    assert admission.limit < grown


def test_while_started_trees_fill_the_cache_no_other_starts_and_the_limit_stays() -> None:
    admission = Admission(Limits(first=32), kv_tokens=200)
    first, second = (Ticket(4, name, root=Prefix(range(100), "", origin=Origin("t")), step=10) for name in "ab")
    admission.push(first)
    admitted = admission.pop_ready(0.0)
    assert admitted is not None
    admission.push(second)
    assert (admission.pop_ready(0.0), admission.limit) == (None, 32)
    admission.push(Ticket(4, "a"))
    assert admission.pop_ready(0.0) is not None
    admission.done(admitted, 1.0, samples=4, tokens=40)
    admission.finish("a")
    assert admission.pop_ready(1.0) is not None


def test_trees_that_are_silent_for_long_leave_their_place_while_the_server_could_do_more() -> None:
    admission = Admission(Limits.fixed(64), kv_tokens=1000)
    tickets = [Ticket(4, tree, root=Prefix([tree] * 100, "", origin=Origin("t")), step=10) for tree in range(20)]
    for ticket in tickets:
        admission.push(ticket)
    running: list[Admitted] = []

    def let_pass(now: float) -> int:
        while (admitted := admission.pop_ready(now)) is not None:
            running.append(admitted)
        return 20 - admission.waiting

    begun = let_pass(0.0)
    assert 2 < begun < 10
    for admitted in running[:begun]:
        admission.done(admitted, 1.0, samples=4, tokens=40)
    assert let_pass(4.9) == begun + 1  # the server has nothing to do: one goes
    assert let_pass(5.1) == begun + 1  # looked for 0.2 s ago
    assert let_pass(7.0) >= 2 * begun - 1


def test_a_sample_that_took_no_time_teaches_nothing() -> None:
    admission = Admission(Limits(first=8))
    admission.push(Ticket(8, "a"))
    admitted = admission.pop_ready(5.0)
    assert admitted is not None
    admission.done(admitted, 5.0, samples=8, tokens=80)
    assert admission.limit == 8


MOVES = st.lists(
    st.tuples(
        st.integers(1, 12), st.integers(0, 4), st.booleans(), st.floats(0.1, 4.0), st.floats(0.0, 3.0),
        st.integers(0, 9),
    ),
    max_size=60,
)  # fmt: skip


@given(moves=MOVES)
def test_entering_is_pushing_and_popping_where_nothing_waits(
    moves: list[tuple[int, int, bool, float, float, int]],
) -> None:
    quick, usual = (Admission(Limits.fixed(10), kv_tokens=2000) for _ in range(2))
    roots = [Prefix(range(100 + tree), "", origin=Origin("t")) for tree in range(5)]
    running: list[tuple[Admitted, Admitted]] = []
    now = 0.0

    def let_pass() -> None:
        while (one := quick.pop_ready(now)) is not None:
            other = usual.pop_ready(now)
            assert other is not None
            assert one.ticket is other.ticket
            running.append((one, other))
        assert usual.pop_ready(now) is None

    for samples, tree, speculative, weight, seconds, ends in moves:
        now += seconds
        ticket = Ticket(samples, tree, weight=weight, speculative=speculative, root=roots[tree], step=20)
        entered = quick.enter(ticket, now)
        usual.push(ticket)
        if entered is None:
            quick.push(ticket)
        else:
            other = usual.pop_ready(now)
            assert other is not None
            assert (entered.ticket, entered.area) == (other.ticket, other.area)
            running.append((entered, other))
        let_pass()
        if ends < len(running):
            one, other = running.pop(ends)
            for admission, admitted in ((quick, one), (usual, other)):
                admission.done(admitted, now, samples=admitted.running, tokens=20)
            let_pass()
        assert (quick.in_flight, quick.waiting, quick.wake_at) == (usual.in_flight, usual.waiting, usual.wake_at)


class Gate(RuleBasedStateMachine):
    """Permits are conserved, the limit holds but for one expand that runs alone, and everything goes in the end."""

    LIMIT = 20

    def __init__(self) -> None:
        super().__init__()
        self.admission = Admission(Limits.fixed(self.LIMIT))
        self.waiting: list[Ticket] = []
        self.running: list[Admitted] = []
        self.now = 0.0

    @rule(samples=st.integers(1, 30), tree=st.integers(0, 5), family=st.integers(0, 2), speculative=st.booleans())
    def push(self, samples: int, tree: int, family: int, *, speculative: bool) -> None:
        ticket = Ticket(samples, tree, family, speculative=speculative)
        self.admission.push(ticket)
        self.waiting.append(ticket)

    @rule()
    def admit(self) -> None:
        while True:
            before = self.admission.in_flight
            admitted = self.admission.pop_ready(self.now)
            if admitted is None:
                break
            assert before == 0 or before + admitted.running <= self.LIMIT
            self.waiting.remove(admitted.ticket)
            self.running.append(admitted)
        assert not self.waiting or self.admission.in_flight

    @precondition(lambda self: self.running)
    @rule(data=st.data(), seconds=st.floats(0, 3))
    def end(self, data: st.DataObject, seconds: float) -> None:
        self.now += seconds
        place = data.draw(st.integers(0, len(self.running) - 1))
        admitted = self.running[place]
        samples = data.draw(st.integers(1, admitted.running))
        self.admission.done(admitted, self.now, samples=samples, tokens=samples)
        if not admitted.running:
            self.running.pop(place)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(self.waiting))
        assert self.admission.cancel(ticket)
        self.waiting.remove(ticket)

    @invariant()
    def permits_are_conserved(self) -> None:
        assert self.admission.in_flight == sum(admitted.running for admitted in self.running)
        assert self.admission.waiting == len(self.waiting)

    def teardown(self) -> None:
        while self.running or self.waiting:
            for admitted in self.running:
                self.admission.drop(admitted, self.now, samples=admitted.running)
            self.running.clear()
            self.admit()
        assert self.admission.in_flight == 0


TestGate = Gate.TestCase
