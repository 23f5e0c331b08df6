from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ets_client._core.ranks import Ranks
from tests.fakes import root


@given(st.integers(1, 8), st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=4), max_size=60))
def test_a_tree_stays_on_its_rank_and_the_ranks_have_about_as_many_each(count: int, trees: list[list[int]]) -> None:
    ranks = Ranks(count)
    homes = [ranks.of(root(ids)) for ids in trees]
    assert homes == [ranks.of(root(ids).child([1, 2], "").child([3], "")) for ids in trees]
    different = len({tuple(ids) for ids in trees})
    used = [len({tuple(ids) for ids, home in zip(trees, homes, strict=True) if home == rank}) for rank in range(count)]
    assert sum(used) == different
    assert max(used) <= 1.25 * (different / count + 1)


def test_a_root_names_its_rank_while_there_is_room() -> None:
    first = [Ranks(4).of(root([number])) for number in range(40)]
    assert len(set(first)) == 4
    assert first == [Ranks(4).of(root([number])) for number in range(40)]


def test_the_oldest_trees_are_forgotten() -> None:
    ranks = Ranks(2, most_trees=3)
    for number in range(50):
        ranks.of(root([number]))
    assert repr(ranks) in {"Ranks(1, 2 trees)", "Ranks(2, 1 trees)"}
