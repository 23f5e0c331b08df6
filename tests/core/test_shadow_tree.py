from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from ets_client._core.shadow_tree import PrefixTree, mark
from tests.fakes import root

if TYPE_CHECKING:
    from ets_client import Prefix

PAGES = st.sampled_from([1, 2, 3])
STEPS = st.lists(st.lists(st.integers(0, 2), max_size=4), min_size=1, max_size=4)
SEQUENCES = st.lists(st.tuples(STEPS, st.lists(st.integers(0, 2), max_size=4)), max_size=10)


def path(steps: list[list[int]]) -> Prefix:
    """A prefix cut into steps; the empty one is a step like any other."""
    prefix = root(steps[0])
    for step in steps[1:]:
        prefix = prefix.child(step, "")
    return prefix


def common(one: list[int], two: list[int], page: int) -> int:
    length = 0
    while length < min(len(one), len(two)) and one[length] == two[length]:
        length += 1
    return length // page * page


@given(PAGES, SEQUENCES, STEPS)
def test_a_prefix_reaches_as_far_as_the_longest_sequence_shares_with_it_however_it_is_cut(
    page: int, sequences: list[tuple[list[list[int]], list[int]]], wanted: list[list[int]]
) -> None:
    tree = PrefixTree(page)
    held: list[list[int]] = []
    for steps, tail in sequences:
        node = tree.insert(path(steps), tail)
        ids = path(steps).token_ids + tail
        held.append(ids[: len(ids) // page * page])
        assert tree.end[node] == len(held[-1])
    ids = path(wanted).token_ids
    longest = max([common(ids, each, page) for each in held], default=0)
    assert tree.reach(path(wanted))[1] == longest
    assert tree.end[tree.match(path(wanted), longest)] == longest
    pieces = {tuple(each[:cut]) for each in held for cut in range(page, len(each) + 1, page)}
    assert tree.tokens == len(pieces) * page


@given(PAGES, SEQUENCES)
def test_a_tree_whose_leaves_are_all_removed_is_as_new(
    page: int, sequences: list[tuple[list[list[int]], list[int]]]
) -> None:
    tree = PrefixTree(page)
    for steps, tail in sequences:
        node = tree.insert(path(steps), tail)
        while node and not tree.child[node]:
            node = tree.drop(node)
    for steps, _ in sequences:
        node, _ = tree.reach(path(steps))
        while tree.child[node]:
            (node, *_) = tree.children(node)
        while node and not tree.child[node]:
            node = tree.drop(node)
    assert all(tree.reach(path(steps))[1] == 0 for steps, _ in sequences)
    assert (tree.tokens, tree.nodes) == (0, 0)


@given(PAGES, SEQUENCES, SEQUENCES, STEPS)
def test_marks_change_nothing_that_is_found(
    page: int,
    marked: list[tuple[list[list[int]], list[int]]],
    more: list[tuple[list[list[int]], list[int]]],
    wanted: list[list[int]],
) -> None:
    tree, prefixes = PrefixTree(page), [path(wanted)]
    for steps, tail in marked:
        prefix = path(steps)
        mark(prefix, tree, tree.insert(prefix))
        child = prefix.child([*tail, 0], "")
        mark(child, tree, tree.insert(prefix, tail))
        prefixes += [prefix, child, child.child([1, 2], "")]
    for steps, tail in more:
        tree.insert(path(steps), tail)
    for prefix in prefixes:
        assert tree.reach(prefix)[1] == tree.reach(path([prefix.token_ids]))[1]
        assert tree.insert(prefix, [2, 1]) == tree.insert(path([prefix.token_ids]), [2, 1])


def test_a_mark_in_another_tree_or_on_a_node_that_is_gone_is_no_mark() -> None:
    one, other, prefix = PrefixTree(1), PrefixTree(1), root([1, 2, 3])
    other.insert(root([1]))
    mark(prefix, one, one.insert(prefix))
    assert other.reach(prefix)[1] == 1
    one.drop(one.marked(prefix.held_in, prefix.held_at))
    assert one.reach(prefix)[1] == 0
    one.insert(root([5, 6, 7]))  # has the same number now
    assert one.reach(prefix)[1] == 0
    one.insert(root([1, 2]))
    assert one.reach(prefix)[1] == 2


def test_what_is_shorter_than_a_page_is_held_nowhere_and_not_marked() -> None:
    tree, prefix = PrefixTree(4), root([1, 2, 3])
    mark(prefix, tree, tree.insert(prefix))
    assert prefix.held_in is None


def test_a_marked_prefix_is_copied_and_pickled_without_the_tree() -> None:
    tree, prefix = PrefixTree(1), root([1, 2, 3])
    mark(prefix, tree, tree.insert(prefix))
    for twin in (copy.deepcopy(prefix), pickle.loads(pickle.dumps(prefix))):
        assert twin == prefix
        assert tree.reach(twin)[1] == 3
        assert tree.marked(twin.held_in, twin.held_at) == 0


def test_a_match_ends_at_most_where_it_is_told_to() -> None:
    tree = PrefixTree(1)
    tree.insert(root([1, 2, 3, 4]))
    assert tree.end[tree.match(root([1, 2, 3, 4]), 2)] == 2
    assert (tree.tokens, tree.nodes) == (4, 2)


def test_a_removed_leaf_makes_its_parent_as_young_as_it_was() -> None:
    tree = PrefixTree(1)
    parent = tree.insert(root([1]))
    leaf = tree.insert(root([1, 2]))
    last = tree.used[leaf]
    assert tree.used[parent] < last
    assert tree.drop(leaf) == parent
    assert tree.used[parent] == last


def test_the_part_after_a_length_begins_there() -> None:
    tree = PrefixTree(1)
    end = tree.insert(root([1, 2, 3, 4]))
    tail = tree.part_after(end, 3)
    assert tail == end
    assert (tree.end[tree.above(tail)], tree.end[tail]) == (3, 4)
    middle = tree.part_after(end, 1)
    assert (tree.end[tree.above(middle)], tree.end[middle]) == (1, 3)
    assert tree.part_after(end, 1) == middle
    assert tree.above(tree.above(middle)) == 0


def test_a_tree_says_what_it_holds() -> None:
    tree = PrefixTree(1)
    tree.insert(root([1, 2]))
    assert repr(tree) == "PrefixTree(2 tokens in 1 nodes)"
