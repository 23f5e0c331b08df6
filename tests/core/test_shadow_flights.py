from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ets_client._core.shadow_flights import Flights
from tests.fakes import root

PROMPTS = st.lists(st.tuples(st.lists(st.integers(0, 2), max_size=6), st.booleans()), max_size=8)


@given(st.sampled_from([1, 2]), PROMPTS, st.lists(st.integers(0, 2), max_size=6))
def test_the_owner_found_shares_more_than_any_other(
    page: int, prompts: list[tuple[list[int], bool]], wanted: list[int]
) -> None:
    flights: Flights[int] = Flights(page)
    nodes = [flights.add(root(ids), place) for place, (ids, _) in enumerate(prompts)]
    for place, (_, is_done) in enumerate(prompts):
        node = nodes[place]
        if is_done and node:
            flights.remove(node, place)
    flying = [place for place, (ids, is_done) in enumerate(prompts) if not is_done and len(ids) >= page]
    assert len(flights) == len(flying)

    def shared(place: int) -> int:
        return (
            root(wanted).common_length(root(prompts[place][0][: len(prompts[place][0]) // page * page])) // page * page
        )

    longest = max(map(shared, flying), default=0)
    found = flights.longest(root(wanted))
    if longest == 0:
        assert found is None
    else:
        assert found is not None
        assert found[1] == longest == shared(found[0])
        assert found[0] in flying


def test_of_equal_prompts_the_first_is_found_until_it_is_done() -> None:
    flights: Flights[str] = Flights(1)
    one = flights.add(root([1, 2]), "one")
    two = flights.add(root([1, 2]), "two")
    assert one == two != 0
    assert flights.longest(root([1, 2, 3])) == ("one", 2)
    flights.remove(one, "one")
    assert flights.longest(root([1, 2, 3])) == ("two", 2)


def test_namespaces_share_no_flight() -> None:
    flights: Flights[str] = Flights(1)
    assert not flights
    flights.add(root([1, 2], namespace="a"), "one")
    assert flights
    assert flights.longest(root([1, 2])) is None
    assert flights.longest(root([1, 2], namespace="a")) == ("one", 2)


def test_where_prompts_part_the_older_one_is_found() -> None:
    flights: Flights[str] = Flights(1)
    flights.add(root([1, 2, 3]), "one")
    flights.add(root([1, 2, 4]), "two")
    assert flights.longest(root([1, 2, 5])) == ("one", 2)
    assert flights.longest(root([1, 2, 4])) == ("two", 3)
