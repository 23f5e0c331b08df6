from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ets_client._core.shadow_order import EvictionOrder
from ets_client._core.shadow_tree import PrefixTree
from tests.fakes import root


def tree_of(*sequences: list[int]) -> tuple[PrefixTree, list[int]]:
    tree = PrefixTree(1)
    return tree, [tree.insert(root(each)) for each in sequences]


def drop(tree: PrefixTree, order: EvictionOrder) -> int:
    """Evict one leaf, as the shadow does."""
    leaf = order.pop()
    if leaf:
        order.offer(tree.drop(leaf))
    return leaf


@given(st.permutations(range(6)))
def test_the_least_recently_used_comes_first_however_late_it_was_used(used: list[int]) -> None:
    tree, leaves = tree_of(*([token] for token in range(6)))
    for place in used:
        tree.match(root([place]), 1)
    order = EvictionOrder(tree)
    assert [drop(tree, order) for _ in range(7)] == [*(leaves[place] for place in used), 0]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 999)), max_size=600))
def test_the_oldest_free_leaf_comes_next_whatever_was_used_locked_and_added_since(steps: list[tuple[int, int]]) -> None:
    tree = PrefixTree(1)
    for token in range(300):
        tree.insert(root([token, 0]))
    order, locked = EvictionOrder(tree), list[int]()
    for number, (what, place) in enumerate(steps):
        nodes = [node for node in range(len(tree.used)) if tree.used[node] and tree.parent[node]]
        free = [node for node in nodes if not tree.child[node] and not tree.locks[node]]
        if what == 0 or not nodes:
            tree.insert(root([place % 300, number, number]))
        elif what == 1:
            assert drop(tree, order) == min(free, key=lambda node: tree.used[node], default=0)
        elif what == 2:
            locked.append(nodes[place % len(nodes)])
            tree.locks[locked[-1]] += 1
        elif what == 3:
            node = nodes[place % len(nodes)]
            tree.use(node, tree.end[node])
        elif locked:
            node = locked.pop(place % len(locked))
            tree.locks[node] -= 1
            order.offer(node)


def test_what_is_locked_or_continued_is_passed_over() -> None:
    tree, (locked, parent, free) = tree_of([1], [2], [3])
    order = EvictionOrder(tree)
    tree.locks[locked] += 1
    tail = tree.insert(root([2, 2]))
    assert [drop(tree, order), drop(tree, order), drop(tree, order)] == [free, tail, parent]
    assert drop(tree, order) == 0
    tree.locks[locked] -= 1
    order.offer(locked)
    tree.locks[locked] += 1  # without a use
    assert drop(tree, order) == 0
    tree.locks[locked] -= 1
    order.offer(locked)
    assert drop(tree, order) == locked


def test_what_was_used_since_it_was_put_in_order_comes_later() -> None:
    tree, leaves = tree_of([1], [2], [3])
    order = EvictionOrder(tree)
    drop(tree, order)
    tree.use(leaves[1], 1)
    assert [drop(tree, order), drop(tree, order), drop(tree, order)] == [leaves[2], leaves[1], 0]


def test_what_is_used_over_and_over_does_not_pile_up() -> None:
    tree, (one, *_) = tree_of([1], [2], [3])
    order = EvictionOrder(tree)
    drop(tree, order)
    for _ in range(1000):
        tree.use(one + 1, 1)
        order.offer(one + 1)
        assert int(repr(order).removeprefix("EvictionOrder(").split()[0]) < 100
    assert [drop(tree, order), drop(tree, order), drop(tree, order)] == [one + 2, one + 1, 0]


def test_an_order_says_of_what_it_is() -> None:
    tree, _ = tree_of([1], [2])
    order = EvictionOrder(tree)
    drop(tree, order)
    assert repr(order) == "EvictionOrder(1 of PrefixTree(1 tokens in 1 nodes) in order)"
