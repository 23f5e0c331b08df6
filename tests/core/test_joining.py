from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client import SamplingParams
from ets_client._core.joining import MOST_JOINED, Joiner, split
from ets_client._core.ticket import Ticket
from tests.fakes import root


def joiner(*tickets: Ticket, most: int = MOST_JOINED) -> Joiner:
    made = Joiner(most)
    for ticket in tickets:
        made.push(ticket)
    return made


def test_equal_requests_go_together_the_oldest_first() -> None:
    first, second, third = (Ticket(2, name, request="r") for name in "abc")
    assert joiner(first, second, third).partners(first, free=100) == [second, third]


def test_one_prefix_cut_into_other_steps_is_the_same_request() -> None:
    one = Ticket(1, "a", request=(root([1, 2]).child([3], ""), SamplingParams(temperature=0.5)))
    two = Ticket(1, "b", request=(root([1]).child([2, 3], ""), SamplingParams(temperature=0.5)))
    assert joiner(one, two).partners(one, free=1) == [two]


@pytest.mark.parametrize(
    "request_", [(root([1, 2]), SamplingParams()), (root([1]), SamplingParams(temperature=0.5)), None]
)
def test_what_differs_in_prefix_or_sampling_is_never_joined(request_: object) -> None:
    one = Ticket(1, "a", request=(root([1]), SamplingParams()))
    two = Ticket(1, "b", request=request_)
    together = joiner(one, two)
    assert together.partners(one, free=100) == []
    assert together.partners(two, free=100) == []


def test_what_is_sure_does_not_go_with_what_is_speculative() -> None:
    sure, guess = Ticket(1, "a", request="r"), Ticket(1, "a", request="r", speculative=True)
    assert joiner(sure, guess).partners(sure, free=100) == []


def test_a_request_of_its_own_goes_alone() -> None:
    one, two = Ticket(1, "a"), Ticket(1, "b")
    assert joiner(one, two).partners(one, free=100) == []


def test_what_has_left_is_not_joined() -> None:
    one, two = Ticket(1, "a", request="r"), Ticket(1, "b", request="r")
    together = joiner(one, two)
    together.remove(two)
    together.remove(two)
    assert together.partners(one, free=100) == []
    together.remove(one)
    together.remove(one)
    assert together.partners(two, free=100) == []


@given(
    samples=st.lists(st.integers(1, 30), min_size=1, max_size=12), most=st.integers(1, 64), free=st.integers(-5, 100)
)
def test_partners_fit_the_free_permits_and_the_largest_post(samples: list[int], most: int, free: int) -> None:
    first, *others = tickets = [Ticket(n, number, request="r") for number, n in enumerate(samples)]
    partners = joiner(*tickets, most=most).partners(first, free)
    joined = sum(partner.samples for partner in partners)
    assert joined <= max(0, free)
    assert not partners or first.samples + joined <= most
    left = [other for other in others if other not in partners]
    room = min(free, most - first.samples) - joined
    assert all(other.samples > room for other in left)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=9))
def test_each_caller_gets_exactly_its_samples(counts: list[int]) -> None:
    parts = split([Ticket(n, number) for number, n in enumerate(counts)], range(sum(counts)))
    assert [len(part) for part in parts] == counts
    assert [sample for part in parts for sample in part] == list(range(sum(counts)))


@pytest.mark.parametrize("samples", [[], [1, 2, 3, 4]])
def test_samples_that_are_too_few_or_too_many_are_not_divided(samples: list[int]) -> None:
    with pytest.raises(ValueError, match=f"{len(samples)} samples for callers who asked for 3"):
        split([Ticket(1, "a"), Ticket(2, "b")], samples)
