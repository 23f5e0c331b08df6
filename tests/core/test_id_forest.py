from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from ets_client._core.id_forest import IdForest
from ets_client._core.id_runs import ID_BYTES
from ets_client._packed import packed

if TYPE_CHECKING:
    from collections.abc import Sequence

IDS = st.lists(st.integers(0, 2), min_size=1, max_size=5)


def put(forest: IdForest, root: int, ids: Sequence[int]) -> int:
    """Hold ids below a root; the node that ends with them."""
    rest = packed(ids)
    node, at = forest.walk(root, rest)
    if at // ID_BYTES < forest.end[node]:
        node = forest.split(node, at // ID_BYTES)
    return forest.grow(node, rest, at) if at < len(rest) else node


def ids_of(forest: IdForest, node: int) -> bytes:
    """All ids from the root to the end of a node."""
    runs: list[bytes] = []
    while forest.parent[node]:
        runs.append(bytes(forest.run(node)))
        node = forest.parent[node]
    return b"".join(reversed(runs))


@given(st.lists(IDS, max_size=12), st.lists(IDS, max_size=4))
def test_what_was_put_is_found_below_its_root_and_nowhere_else(held: list[list[int]], others: list[list[int]]) -> None:
    forest = IdForest(ID_BYTES)
    one, two = forest.root(), forest.root()
    nodes = [put(forest, one, ids) for ids in held]
    for ids in others:
        put(forest, two, ids)
    for ids, node in zip(held, nodes, strict=True):
        assert ids_of(forest, node) == packed(ids)
        assert put(forest, one, ids) == node
    for ids in others:
        found, at = forest.walk(one, packed(ids))
        longest = max((n for n in range(len(ids) + 1) for each in held if each[:n] == ids[:n]), default=0)
        assert at == longest * ID_BYTES <= forest.end[found] * ID_BYTES


@given(st.lists(IDS, min_size=1, max_size=12))
def test_children_come_oldest_first_and_each_once(held: list[list[int]]) -> None:
    forest = IdForest(ID_BYTES)
    root = forest.root()
    for ids in held:
        put(forest, root, ids)
    first = [packed(ids[:1]) for ids in held]
    assert sorted(bytes(forest.run(each))[:ID_BYTES] for each in forest.children(root)) == sorted(set(first))
    assert list(forest.children(0)) == []


def test_a_mark_is_its_nodes_alone_through_thousands_of_others() -> None:
    forest = IdForest(ID_BYTES)
    root = forest.root()
    gone = forest.grow(root, packed([1, 2]))
    mark = forest.mark(gone)
    assert forest.marked(*mark) == gone
    forest.remove(gone)
    leaves = [forest.grow(root, packed([number, 7])) for number in range(1000)]
    assert gone in leaves
    assert forest.marked(*mark) == 0
    assert IdForest(ID_BYTES).marked(*forest.mark(leaves[-1])) == 0
    for number, leaf in enumerate(leaves):
        assert forest.find(root, packed([number])) == leaf
        forest.remove(leaf)
    assert forest.child[root] == 0


@given(st.lists(st.integers(0, 999), max_size=40))
def test_leaves_are_removed_in_any_order(order: list[int]) -> None:
    forest = IdForest(ID_BYTES)
    root = forest.root()
    held = {number: put(forest, root, [number % 3, number]) for number in range(200)}
    for place in order:
        number = sorted(held)[place % len(held)]
        forest.remove(held.pop(number))
        assert all(put(forest, root, [each % 3, each]) == node for each, node in held.items())


def test_a_mark_that_another_forest_made_is_none_here_however_high_its_number() -> None:
    large, small = IdForest(ID_BYTES), IdForest(ID_BYTES)
    root = large.root()
    leaves = [large.grow(root, packed([number])) for number in range(17_000)]
    for leaf in leaves[::1000]:
        assert large.marked(*large.mark(leaf)) == leaf
        assert small.marked(*large.mark(leaf)) == 0
    assert large.marked(*large.mark(leaves[-1])) == leaves[-1] > 1 << 14


def test_a_number_that_is_used_over_and_over_never_means_what_it_did() -> None:
    forest = IdForest(ID_BYTES)
    root, marks = forest.root(), list[tuple[object, int]]()
    for _ in range(5000):
        leaf = forest.grow(root, packed([1]))
        marks.append(forest.mark(leaf))
        assert forest.marked(*marks[-1]) == leaf
        forest.remove(leaf)
    assert not any(forest.marked(*mark) for mark in marks)


def test_the_last_free_number_may_be_used() -> None:
    forest = IdForest(ID_BYTES)
    root = forest.root()
    leaves = [forest.grow(root, packed([number])) for number in range(62)]
    forest.remove(leaves[0])
    assert forest.grow(root, packed([99])) == leaves[0]
    assert forest.grow(root, packed([100])) not in leaves


def test_long_runs_are_kept_as_they_are_and_short_ones_together_and_both_go_with_their_nodes() -> None:
    forest = IdForest(ID_BYTES)
    root, long = forest.root(), packed(range(1000))
    whole = forest.grow(root, long)
    assert forest.run(whole) is long
    short = [forest.grow(root, packed([5000 + number] * 100)) for number in range(400)]
    upper = forest.split(whole, 400)
    assert (forest.run(upper), forest.run(whole)) == (long[:1600], long[1600:])
    forest.remove(whole)
    assert forest.run(upper) == long[:1600]
    forest.remove(upper)
    for leaf in short:
        forest.remove(leaf)
    again = [forest.grow(root, packed([number] * 100)) for number in range(400)]
    assert [bytes(forest.run(leaf)) for leaf in again] == [packed([number] * 100) for number in range(400)]


def test_the_end_of_a_long_run_is_kept_with_its_beginning_unless_that_is_the_larger_part() -> None:
    forest = IdForest(ID_BYTES)
    whole = packed(list(range(1000)))
    for at, owner in ((0, whole), (2000, whole), (2004, None)):
        root = forest.root()
        leaf = forest.grow(root, whole, at)
        assert forest.run(leaf) == whole[at:]
        assert forest.end[leaf] == 1000 - at // ID_BYTES
        assert forest.find(root, whole, at) == leaf
        assert (forest._chunks[forest._chunk[leaf]] is whole) == (owner is whole)
    leaf = forest.grow(forest.root(), whole[:40], 4)
    assert forest.run(leaf) == whole[4:40]
