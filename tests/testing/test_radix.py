from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ets_client.testing.radix import Node, RadixTree

PAGES = st.sampled_from([1, 2, 4])
TOKENS = st.lists(st.integers(0, 2), max_size=12)


def _floor(length: int, page: int) -> int:
    return length // page * page


def _common(one: tuple[int, ...], two: tuple[int, ...], page: int) -> int:
    length = 0
    while length < min(len(one), len(two)) and one[length] == two[length]:
        length += 1
    return _floor(length, page)


class NaiveMachine(RuleBasedStateMachine):
    """The tree against a plain set of page-aligned prefixes, with locks and evictions."""

    def __init__(self) -> None:
        super().__init__()
        self.page = 2
        self.tree = RadixTree(self.page)
        self.held: set[tuple[str, tuple[int, ...]]] = set()
        self.locks: list[tuple[Node, str, tuple[int, ...]]] = []

    def _longest(self, tokens: tuple[int, ...], space: str) -> int:
        cuts = range(0, len(tokens) + 1, self.page)
        return max([cut for cut in cuts if cut == 0 or (space, tokens[:cut]) in self.held])

    @rule(tokens=TOKENS, space=st.sampled_from("ab"))
    def insert(self, tokens: list[int], space: str) -> None:
        whole = tuple(tokens[: _floor(len(tokens), self.page)])
        node = self.tree.insert(tokens, space)
        self.held |= {(space, whole[:cut]) for cut in range(self.page, len(whole) + 1, self.page)}
        assert node.depth == len(whole)

    @rule(tokens=TOKENS, space=st.sampled_from("ab"), limit=st.integers(0, 12))
    def match(self, tokens: list[int], space: str, limit: int) -> None:
        wanted = tuple(tokens[: _floor(min(limit, len(tokens)), self.page)])
        expected = self._longest(wanted, space)
        assert self.tree.match_length(tokens, limit, space) == expected
        assert self.tree.match(tokens, limit, space).depth == expected

    @rule(tokens=TOKENS, space=st.sampled_from("ab"))
    def lock(self, tokens: list[int], space: str) -> None:
        node = self.tree.match(tokens, len(tokens), space)
        self.tree.lock(node)
        self.locks.append((node, space, tuple(tokens[: node.depth])))

    @precondition(lambda self: bool(self.locks))
    @rule(place=st.integers(0, 100))
    def unlock(self, place: int) -> None:
        self.tree.unlock(self.locks.pop(place % len(self.locks))[0])

    @rule(tokens=st.integers(1, 20))
    def evict(self, tokens: int) -> None:
        room = self.tree.evictable
        freed = self.tree.evict(tokens)
        assert freed >= min(tokens, room)
        kept = {
            (space, sequence[:cut])
            for space in "ab"
            for sequence in self.tree.sequences(space)
            for cut in range(self.page, len(sequence) + 1, self.page)
        }
        assert kept <= self.held
        assert len(self.held) - len(kept) == freed // self.page
        self.held = kept

    @invariant()
    def sizes_agree(self) -> None:
        assert self.tree.size == len(self.held) * self.page
        locked = {
            (space, path[:cut]) for _, space, path in self.locks for cut in range(self.page, len(path) + 1, self.page)
        }
        assert self.tree.locked == len(locked) * self.page
        assert locked <= self.held


TestNaive = NaiveMachine.TestCase


@given(PAGES, st.lists(TOKENS, max_size=8), TOKENS)
def test_a_match_is_the_longest_common_prefix_in_whole_pages(
    page: int, sequences: list[list[int]], wanted: list[int]
) -> None:
    tree = RadixTree(page)
    for sequence in sequences:
        tree.insert(sequence)
    kept = [tuple(each[: _floor(len(each), page)]) for each in sequences]
    longest = max([_common(each, tuple(wanted), page) for each in kept], default=0)
    assert tree.match(wanted, len(wanted)).depth == longest


def test_the_least_recently_used_leaf_goes_first() -> None:
    tree = RadixTree()
    tree.insert([1, 2, 3])
    tree.insert([1, 2, 4])
    tree.match([1, 2, 3], 3)
    tree.evict(1)
    assert list(tree.sequences()) == [(1, 2, 3)]


def test_a_match_inside_a_node_makes_the_rest_of_the_node_young_too() -> None:
    tree = RadixTree()
    tree.insert([1, 2, 3])
    tree.insert([4])
    tree.match([1, 2], 2)
    tree.evict(1)
    assert list(tree.sequences()) == [(1, 2, 3)]


def test_a_parent_can_be_evicted_once_its_children_are_gone() -> None:
    tree = RadixTree()
    tree.insert([1, 2, 3])
    tree.insert([1, 2, 4])
    assert tree.evict(100) == 4
    assert tree.size == 0
    assert tree.evicted == 4


def test_namespaces_share_nothing() -> None:
    tree = RadixTree()
    tree.insert([1, 2, 3], ("a", None))
    assert tree.match([1, 2, 3], 3, ("b", None)).depth == 0
    assert tree.match([1, 2, 3], 3).depth == 0


def test_clear_forgets_everything() -> None:
    tree = RadixTree()
    tree.insert([1, 2, 3])
    tree.clear()
    assert (tree.size, tree.match_length([1, 2, 3], 3)) == (0, 0)
    assert tree.evict(1) == 0
