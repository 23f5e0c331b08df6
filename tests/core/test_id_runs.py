from __future__ import annotations

from itertools import takewhile
from struct import pack

from hypothesis import given
from hypothesis import strategies as st

from ets_client._core.id_runs import ID_BYTES, common_bytes

IDS = st.lists(st.integers(0, 2), min_size=1, max_size=12)


@given(st.integers(1, 4), IDS, IDS)
def test_it_counts_the_whole_units_in_which_both_begin_alike(page: int, one: list[int], two: list[int]) -> None:
    key = [0] * page + one * page  # whole pages, the first one shared
    rest = ([0] * page + two)[: len(key)]
    pages = range(len(rest) // page)
    alike = takewhile(lambda at: key[at * page : (at + 1) * page] == rest[at * page : (at + 1) * page], pages)
    expected = len(key) if key == rest else sum(1 for _ in alike) * page
    found = common_bytes(pack(f"{len(key)}i", *key), pack(f"{len(rest)}i", *rest), page * ID_BYTES)
    assert found == expected * ID_BYTES
