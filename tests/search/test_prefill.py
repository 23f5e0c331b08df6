"""The least prefill against a trie that counts by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ets_client.search import least_prefill
from tests.fakes import root

PATHS = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=8), min_size=1, max_size=6)


def test_one_tree_costs_its_root_and_a_token_for_every_other_sample() -> None:
    assert least_prefill(root([1, 2, 3, 4]), [], samples=8) == 4 + 7


def test_a_shared_beginning_is_paid_once() -> None:
    assert least_prefill(root([1, 2, 3, 4]), [root([1, 2, 9])], samples=1) == 2


def test_a_root_that_was_there_before_costs_its_last_token() -> None:
    assert least_prefill(root([1, 2, 3]), [root([1, 2, 3])], samples=2) == 2


def test_without_samples_nothing_is_computed() -> None:
    assert least_prefill(root([1, 2]), [], samples=0) == 0


@given(PATHS)
def test_many_roots_cost_the_nodes_of_their_trie(paths: list[list[int]]) -> None:
    roots = [root(path) for path in paths]
    total = sum(least_prefill(one, roots[:place], samples=1) for place, one in enumerate(roots))
    trie: set[tuple[int, ...]] = set()
    expected = 0
    for path in paths:
        new = {tuple(path[: end + 1]) for end in range(len(path))} - trie
        expected += max(len(new), 1)
        trie |= new
    assert total == expected
