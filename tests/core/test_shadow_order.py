from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ets_client._core.shadow_order import EvictionOrder
from ets_client._core.shadow_tree import Node, PrefixTree
from tests.fakes import root


def tree_of(*sequences: list[int]) -> tuple[PrefixTree, list[Node]]:
    tree = PrefixTree(1)
    return tree, [tree.insert(root(each)) for each in sequences]


@given(st.permutations(range(6)), st.permutations(range(6)))
def test_the_least_recently_used_comes_first_however_late_it_was_used(offered: list[int], used: list[int]) -> None:
    tree, leaves = tree_of(*([token] for token in range(6)))
    order = EvictionOrder()
    for place in offered:
        order.offer(leaves[place])
        order.offer(leaves[place])
    assert len(order) == 6
    for place in used:
        tree.match(root([place]), 1)
    assert [order.pop() for _ in range(7)] == [*(leaves[place] for place in used), None]


def test_what_is_locked_or_continued_is_passed_over() -> None:
    tree, (locked, parent, free) = tree_of([1], [2], [3])
    order = EvictionOrder()
    for node in (locked, parent, free):
        order.offer(node)
    locked.locks += 1
    tree.insert(root([2, 2]))
    assert order.pop() is free
    assert order.pop() is None
    order.offer(locked)
    order.offer(parent)
    assert len(order) == 0


def test_what_was_removed_is_passed_over_and_does_not_pile_up() -> None:
    order = EvictionOrder()
    tree, (stays, *others) = tree_of(*([token] for token in range(1000)))
    order.offer(stays)
    for node in others:
        order.offer(node)
    for node in others:
        tree.remove(node)
        order.forget(node)
    assert len(order) < 200
    assert order.pop() is stays
    assert order.pop() is None
    order.forget(stays)
    order.offer(others[0])
    assert len(order) == 0
