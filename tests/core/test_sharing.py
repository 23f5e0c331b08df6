from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from ets_client._core.sharing import cold_parts
from tests.fakes import root

if TYPE_CHECKING:
    from ets_client import Prefix


def nothing(_: Prefix) -> int:
    return 0


def steps(parent: Prefix, count: int, tokens: int) -> list[Prefix]:
    return [parent.child([place] * tokens, "x" * tokens) for place in range(count)]


def test_a_short_cold_prefix_is_not_worth_a_request_of_its_own() -> None:
    assert cold_parts([root(range(100))], 2, nothing) == []
    assert cold_parts([root(range(255))], 2, nothing) == []


def test_a_long_cold_prefix_is_computed_once_ahead() -> None:
    prefix = root(range(256))
    assert cold_parts([prefix], 2, nothing) == [prefix]
    assert cold_parts([root(range(64))], 5, nothing) == [root(range(64))]


def test_a_prefix_in_one_row_is_never_computed_ahead() -> None:
    assert cold_parts([root(range(5000))], 1, nothing) == []


def test_siblings_share_their_cold_parent_and_keep_their_short_steps() -> None:
    parent = root(range(40))
    assert cold_parts(steps(parent, 8, 30), 2, nothing) == [parent]


def test_siblings_with_long_steps_are_computed_themselves() -> None:
    siblings = steps(root(range(40)), 3, 300)
    assert cold_parts(siblings, 2, nothing) == siblings


def test_what_is_warm_is_not_computed() -> None:
    parent = root(range(1000))
    siblings = steps(parent, 8, 30)
    assert cold_parts(siblings, 2, lambda _: 1000) == []
    longer = steps(parent, 2, 400)
    assert cold_parts(longer, 2, lambda prefix: 1400 if prefix is longer[0] else 1000) == [longer[1]]


def test_the_same_path_given_twice_is_computed_once() -> None:
    assert cold_parts([root(range(300)), root(range(300))], 1, nothing) == [root(range(300))]


@given(
    st.lists(st.lists(st.integers(1, 300), min_size=1, max_size=4), min_size=1, max_size=5),
    st.integers(1, 5),
    st.integers(0, 400),
)
def test_each_choice_is_a_part_of_a_path_that_is_not_warm(shapes: list[list[int]], rows: int, warm: int) -> None:
    prefixes: list[Prefix] = []
    for shape in shapes:
        node = root([1] * shape[0])
        for tokens in shape[1:]:
            node = node.child([tokens] * tokens, "x" * tokens)
        prefixes.append(node)
    chosen = cold_parts(prefixes, rows, lambda prefix: min(warm, len(prefix)))
    nodes = {node for prefix in prefixes for node in prefix.path}
    assert set(chosen) <= nodes
    assert len(set(chosen)) == len(chosen)
    assert all(len(prefix) > warm for prefix in chosen)
