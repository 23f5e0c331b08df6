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
        assert node.end == len(held[-1])
    ids = path(wanted).token_ids
    longest = max([common(ids, each, page) for each in held], default=0)
    assert tree.reach(path(wanted))[1] == longest
    assert tree.match(path(wanted), longest).end == longest
    pieces = {tuple(each[:cut]) for each in held for cut in range(page, len(each) + 1, page)}
    assert tree.tokens == len(pieces) * page


@given(PAGES, SEQUENCES)
def test_a_tree_whose_leaves_are_all_removed_is_as_new(
    page: int, sequences: list[tuple[list[list[int]], list[int]]]
) -> None:
    tree = PrefixTree(page)
    for steps, tail in sequences:
        node = tree.insert(path(steps), tail)
        while node.parent is not None and not node.children:
            node = tree.remove(node)
    for steps, _ in sequences:
        node, _ = tree.reach(path(steps))
        while node.children:
            (node, *_) = node.children.values()
        while node.parent is not None and not node.children:
            node = tree.remove(node)
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
        mark(prefix, tree.insert(prefix))
        child = prefix.child([*tail, 0], "")
        mark(child, tree.insert(prefix, tail))
        prefixes += [prefix, child, child.child([1, 2], "")]
    for steps, tail in more:
        tree.insert(path(steps), tail)
    for prefix in prefixes:
        assert tree.reach(prefix)[1] == tree.reach(path([prefix.token_ids]))[1]
        one, two = tree.insert(prefix, [2, 1]), tree.insert(path([prefix.token_ids]), [2, 1])
        assert one is two or one.end == two.end == 0


def test_a_mark_in_another_tree_or_on_a_node_that_is_gone_is_no_mark() -> None:
    one, other, prefix = PrefixTree(1), PrefixTree(1), root([1, 2, 3])
    mark(prefix, one.insert(prefix))
    assert other.reach(prefix)[1] == 0
    leaf = prefix.held_at
    assert leaf is not None
    one.remove(leaf)
    assert one.reach(prefix)[1] == 0
    one.insert(root([1, 2]))
    assert one.reach(prefix)[1] == 2


def test_a_root_is_no_mark() -> None:
    tree, prefix = PrefixTree(4), root([1, 2, 3])
    mark(prefix, tree.insert(prefix))
    assert prefix.held_at is None


def test_a_marked_prefix_is_copied_and_pickled_without_the_tree() -> None:
    tree, prefix = PrefixTree(1), root([1, 2, 3])
    mark(prefix, tree.insert(prefix))
    for twin in (copy.deepcopy(prefix), pickle.loads(pickle.dumps(prefix))):
        assert twin == prefix
        assert twin.held_at is None


def test_a_match_ends_at_most_where_it_is_told_to() -> None:
    tree = PrefixTree(1)
    tree.insert(root([1, 2, 3, 4]))
    assert tree.match(root([1, 2, 3, 4]), 2).end == 2
    assert (tree.tokens, tree.nodes) == (4, 2)


def test_a_removed_leaf_makes_its_parent_as_young_as_it_was() -> None:
    tree = PrefixTree(1)
    parent = tree.insert(root([1]))
    leaf = tree.insert(root([1, 2]))
    assert parent.used < leaf.used
    assert tree.remove(leaf) is parent
    assert parent.used == leaf.used


def test_the_part_after_a_length_begins_there() -> None:
    tree = PrefixTree(1)
    end = tree.insert(root([1, 2, 3, 4]))
    tail = tree.part_after(end, 3)
    assert tail is end
    assert tail.parent is not None
    assert (tail.parent.end, tail.end) == (3, 4)
    middle = tree.part_after(end, 1)
    assert middle.parent is not None
    assert (middle.parent.end, middle.end) == (1, 3)
    assert tree.part_after(end, 1) is middle


def test_a_node_and_a_tree_say_what_they_hold() -> None:
    tree = PrefixTree(1)
    assert repr(tree.insert(root([1, 2]))) == "Node(2 tokens to 2, 0 children)"
    assert repr(tree) == "PrefixTree(2 tokens in 1 nodes)"
