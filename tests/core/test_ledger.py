"""The ledger beside brute force: sets of token paths."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from ets_client._core.ledger import Accounts, Answer
from ets_client._core.ledger_paths import Paths
from ets_client._packed import packed
from tests.fakes import root

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ets_client import LedgerRow, Prefix
    from ets_client._core.ledger_tree import TreeAccount

IDS = st.lists(st.integers(0, 2), min_size=1, max_size=4)
SPACES = st.sampled_from([None, None, "a"])
# What to do, with which known prefix, and ids for it.
EVENTS = st.lists(
    st.tuples(st.sampled_from(["give", "continue", "copy", "sample", "sample", "sample"]), st.integers(0, 99), IDS),
    max_size=30,
)
Path = tuple[object, ...]


def path_of(prefix: Prefix, tail: Sequence[int] = ()) -> Path:
    return (prefix.origin.namespace, *prefix.token_ids, *tail)


def beginnings(path: Path, end: int | None = None) -> set[Path]:
    return {path[:length] for length in range(2, (len(path) if end is None else end) + 1)}


def generated(accounts: Accounts, prefix: Prefix, ids: Sequence[int]) -> Prefix:
    child = prefix.child(ids, "")
    child.made_by = accounts.maker
    return child


def answer_of(prefix: Prefix, outputs: Sequence[Sequence[int]]) -> Answer:
    """Of samples that all ran."""
    n = len(outputs)
    return Answer(prefix, outputs, n, 0, sum(map(len, outputs)), predicted=0, asked=n * len(prefix), reused=0)


def sampled(
    accounts: Accounts, tree: TreeAccount | None, prefix: Prefix, ids: Sequence[int], at: float = 0.0
) -> Prefix:
    accounts.answer(tree, answer_of(prefix, [ids]), at)
    return generated(accounts, prefix, ids)


class Infinite:
    """A cache that forgets nothing, as a set of every path that it holds."""

    def __init__(self) -> None:
        self.held: set[Path] = set()
        self.computed = 0

    def sample(self, prefix: Prefix, ids: Sequence[int]) -> None:
        path = path_of(prefix)
        missing = beginnings(path) - self.held
        self.computed += max(1, len(missing))
        self.held |= beginnings(path_of(prefix, ids[:-1]))


@given(EVENTS, SPACES, st.booleans())
@settings(max_examples=300)
def test_least_is_what_a_cache_that_forgets_nothing_computes(
    events: list[tuple[str, int, list[int]]], space: str | None, in_a_scope: bool
) -> None:
    accounts, cache = Accounts(), Infinite()
    tree = accounts.open("one") if in_a_scope else None
    first = root([1], namespace=space)
    known = [first]
    for what, place, ids in events:
        prefix = known[place % len(known)]
        if what == "give" and tree is not None:
            known.append(root(ids, namespace=space))
        elif what == "continue":
            known.append(prefix.child(ids, ""))
        elif what == "copy" and tree is not None:
            known.append(root(prefix.token_ids, namespace=space))
        elif what == "sample":
            cache.sample(prefix, ids)
            known.append(sampled(accounts, tree, prefix, ids))
    assert accounts.total(0.0).least == cache.computed


@given(st.lists(st.tuples(st.integers(0, 99), st.lists(IDS, min_size=1, max_size=4)), max_size=20), SPACES)
def test_samples_that_come_together_cost_what_they_cost_one_by_one(
    requests: list[tuple[int, list[list[int]]]], space: str | None
) -> None:
    together, alone = Accounts(), Accounts()
    known = [(root([1], namespace=space), root([1], namespace=space))]
    for place, outputs in requests:
        prefix, same = known[place % len(known)]
        together.answer(None, answer_of(prefix, outputs), 0.0)
        known += [(generated(together, prefix, ids), sampled(alone, None, same, ids)) for ids in outputs]
    assert together.rows(0.0) == alone.rows(0.0)
    assert together.total(0.0) == alone.total(0.0)


@given(EVENTS)
@settings(max_examples=300)
def test_live_tokens_are_the_union_of_the_paths_in_use(events: list[tuple[str, int, list[int]]]) -> None:
    accounts = Accounts()
    tree = accounts.open("one")
    known = [root([1]), root([2, 1])]
    uses: Counter[Path] = Counter()
    after: dict[Path, list[Path]] = {}

    def give_up(path: Path) -> None:
        uses[path] -= 1
        if not uses[path]:
            for sample in after.pop(path, []):
                give_up(sample)

    for what, place, ids in events:
        prefix = known[place % len(known)]
        path = path_of(prefix)
        if what == "sample" and not accounts.is_pruned(tree, prefix):
            for step in prefix.path:  # the roots that were not sent before
                if not uses[path_of(step)]:
                    uses[path_of(step)] += 1
            uses[path_of(prefix, ids)] += 1
            after.setdefault(path, []).append(path_of(prefix, ids))
            known.append(sampled(accounts, tree, prefix, ids))
        elif what in {"give", "copy"} and uses[path]:
            give_up(path)
            siblings = after.get(path_of(prefix.parent), []) if prefix.parent is not None else []
            if path in siblings:
                siblings.remove(path)
            assert accounts.prune(tree, prefix, 0.0) == (not uses[path])
        assert accounts.total(0.0).live == tree.row(0.0).live
        assert tree.tokens == len(set[Path]().union(*(beginnings(used) for used in +uses)))


def test_trees_count_what_their_roots_share_once_together_and_each_for_itself() -> None:
    accounts = Accounts()
    one, two = accounts.open("one"), accounts.open("two")
    sampled(accounts, one, root([1, 2, 3, 4]), [5], at=0.0)
    sampled(accounts, two, root([1, 2, 3, 9]), [5, 6], at=1.0)
    assert (one.row(1.0).live, two.row(1.0).live, accounts.total(1.0).live) == (5, 6, 8)
    assert (one.row(1.0).least, two.row(1.0).least, accounts.total(1.0).least) == (4, 1, 5)
    accounts.close(one, 2.0)
    assert (one.row(3.0).live, two.row(3.0).live, accounts.total(3.0).live) == (0, 6, 6)
    accounts.close(two, 4.0)
    total = accounts.total(5.0)
    assert (total.live, total.live_peak, total.live_token_seconds, total.seconds) == (0, 8, 5 + 8 + 6 * 2, 5.0)
    assert total.live_mean == total.live_token_seconds / 5
    assert [row.name for row in accounts.rows(5.0)] == ["one", "two"]
    assert (two.row(9.0).seconds, two.row(9.0).live_mean) == (3.0, 6.0)


def test_of_two_equal_samples_each_is_pruned_by_itself() -> None:
    accounts = Accounts()
    tree, first = accounts.open("one"), root([1])
    twins = [sampled(accounts, tree, first, [2, 3]) for _ in range(2)]
    assert not accounts.prune(tree, twins[0], 0.0)
    assert tree.row(0.0).live == 3
    assert accounts.prune(tree, twins[1], 0.0)
    assert accounts.prune(tree, twins[1], 0.0)  # gone already
    assert tree.row(0.0).live == 1


def test_what_comes_after_a_prune_is_counted_and_not_live() -> None:
    accounts = Accounts()
    tree, first = accounts.open("one"), root([1])
    child = sampled(accounts, tree, first, [2, 3])
    grandchild = sampled(accounts, tree, child, [4])
    assert accounts.prune(tree, child, 0.0)
    sampled(accounts, tree, child, [5, 6])
    sampled(accounts, tree, grandchild, [7])
    row = tree.row(0.0)
    assert (row.generated, row.generated_after_prune, row.live) == (6, 3, 1)
    assert accounts.is_pruned(tree, child)
    assert accounts.is_pruned(tree, grandchild)
    assert not accounts.is_pruned(tree, first)
    assert not accounts.is_pruned(None, child)
    again = sampled(accounts, tree, first, [2, 3])  # the same words, asked for anew
    assert not accounts.is_pruned(tree, again)
    sampled(accounts, tree, again, [8])
    assert (tree.row(0.0).generated_after_prune, tree.row(0.0).live) == (3, 4)


def test_what_nobody_wants_any_more_is_counted_and_not_live() -> None:
    accounts = Accounts()
    tree, first = accounts.open("one"), root([1])
    accounts.answer(tree, replace(answer_of(first, [[2, 3], [4]]), is_wanted=False), 0.0)
    row = tree.row(0.0)
    assert (row.generated, row.generated_after_prune, row.least, row.live, row.seconds) == (3, 3, 2, 0, 0.0)


def test_of_a_tree_without_a_scope_only_its_root_holds_what_others_share() -> None:
    accounts = Accounts()
    first = root([1, 2])
    child = sampled(accounts, None, first, [3])
    assert accounts.prune(None, child, 0.0)
    assert accounts.total(0.0).live == 2
    assert accounts.prune(None, first, 0.0)
    assert accounts.prune(None, first, 0.0)  # gone already
    assert accounts.total(0.0).live == 0


def test_pruning_the_root_leaves_nothing_of_it() -> None:
    accounts = Accounts()
    first, other = root([1, 2]), root([1, 2, 3])
    sampled(accounts, None, first, [5])
    sampled(accounts, None, other, [5])
    assert accounts.total(0.0).live == 2 + 1 + 1 + 1
    assert not accounts.is_pruned(None, first)
    assert accounts.prune(None, first, 0.0)
    assert accounts.is_pruned(None, first)
    assert accounts.total(0.0).live == 4
    assert accounts.prune(None, other, 0.0)
    assert accounts.total(0.0).live == 0


def test_trees_without_a_scope_are_known_by_their_roots_and_the_oldest_ends() -> None:
    accounts = Accounts(open_roots=2)
    roots = [root([number, 50]) for number in range(3)]
    for each in (*roots[:2], roots[0], roots[2]):
        accounts.expand(None, each, 0.0)
        sampled(accounts, None, each, [7])
    assert [row.samples for row in accounts.rows(0.0)] == [1, 2, 1]
    assert [row.live for row in accounts.rows(0.0)] == [0, 3, 3]
    total = accounts.total(0.0)
    assert (total.expands, total.samples, total.least, total.live) == (4, 4, 7, 6)
    assert accounts.rows(0.0)[1].name == roots[0].text
    assert repr(accounts) == "Accounts(2 open, 6 live tokens)"
    assert (repr(accounts._open_roots), repr(accounts._ended)) == ("RootTrees(2 open)", "EndedTrees(1 shown)")


def test_ended_trees_are_summed_up_when_there_are_many() -> None:
    accounts = Accounts(shown_ended=2)
    trees = [accounts.open(str(number)) for number in range(5)]
    for tree in trees:
        sampled(accounts, tree, root([1, 2]), [3])
        accounts.close(tree, 0.0)
        sampled(accounts, tree, root([1, 2]), [3])  # late: counted, held no more
    total = accounts.total(0.0)
    assert [row.name for row in accounts.rows(0.0)] == ["3", "4"]
    assert (total.samples, total.generated_after_prune, total.live) == (10, 5, 0)
    assert total.least == 2 + 4 + 5
    assert not trees[0].is_open
    assert accounts.prune(trees[0], root([1, 2]), 0.0)


def test_ended_trees_without_a_scope_are_shown_as_they_were_and_summed_up_when_there_are_many() -> None:
    accounts = Accounts(open_roots=1, shown_ended=2)
    given = [root([number] * 7, namespace="é\ud800" if number % 2 else None) for number in range(5)]
    rows: list[LedgerRow] = []
    for at, each in enumerate(given):
        sampled(accounts, None, each, [7, number := at], at=float(at))
        sampled(accounts, None, each, [7, number, 8], at=at + 0.5)
        rows.append(replace(accounts.rows(float(at + 1))[-1], live=0))
    assert accounts.rows(5.0)[:-1] == tuple(rows[2:4])
    total = accounts.total(5.0)
    assert (total.samples, total.least, total.generated) == (10, 5 * 8, 25)


def test_uses_that_were_given_up_are_forgotten_one_by_one() -> None:
    accounts = Accounts()
    tree, first = accounts.open("one"), root([1])
    parent = sampled(accounts, tree, first, [2])
    children = [sampled(accounts, tree, parent, [number]) for number in range(3)]
    assert tree.tokens == 5
    for number in (0, 1, 2):
        assert accounts.prune(tree, children[number], 0.0)
    assert tree.tokens == 2
    again = sampled(accounts, tree, parent, [9])
    twin = root(again.token_ids)
    assert accounts.prune(tree, twin, 0.0)  # by another cut: its parent does not hear of it
    sampled(accounts, tree, parent, [8])  # takes the number that became free
    assert accounts.prune(tree, parent, 0.0)
    assert tree.tokens == 1
    assert accounts.is_pruned(tree, again)


def test_a_path_that_was_sampled_at_once_can_be_pruned_step_by_step() -> None:
    accounts = Accounts()
    tree, first = accounts.open("one"), root([1])
    sampled(accounts, tree, first, [2, 9])
    step = first.child([2], "")
    assert accounts.prune(tree, step.child([9], ""), 0.0)
    assert tree.tokens == 2
    assert accounts.prune(tree, step, 0.0)
    assert tree.tokens == 1


def test_what_a_pruned_prompt_begins_with_is_in_use_and_goes_with_its_tree() -> None:
    accounts = Accounts()
    tree, first = accounts.open("one"), root([1, 2, 3])
    sampled(accounts, tree, first, [4])
    assert accounts.prune(tree, first, 0.0)
    sampled(accounts, tree, root([1]).child([2, 3], ""), [4])
    assert accounts.total(0.0).live == tree.row(0.0).live == tree.tokens == 1
    accounts.close(tree, 0.0)
    assert accounts.total(0.0).live == 0


def test_given_prompts_are_remembered_within_bounds_and_the_latest_longest() -> None:
    accounts = Accounts(given_tokens=3)
    tree = accounts.open("one")
    for number in range(3):
        sampled(accounts, accounts.open(""), root([number, 1, 2, 3]), [7])
    assert tree.row(0.0).least == 0
    sampled(accounts, tree, root([2, 1, 2, 3]), [7])
    assert tree.row(0.0).least == 1
    sampled(accounts, tree, root([0, 1, 2, 3]), [7])
    assert tree.row(0.0).least == 1 + 4


def test_prefills_queue_aborts_and_losses_have_numbers_of_their_own() -> None:
    accounts = Accounts()
    tree, first = accounts.open("one"), root([1, 2, 3])
    accounts.answer(tree, Answer(first, [], 0, 1, 0, predicted=2, asked=3, reused=1), 0.0)
    accounts.answer(tree, Answer(first, [[], [9]], 3, 0, 1, predicted=2, asked=6, reused=2, retractions=1), 0.0)
    accounts.unanswered(tree, first, 4, 0.0)
    row = tree.row(0.0)
    assert (row.samples, row.prefills, row.unanswered, row.retractions) == (3, 1, 4, 1)
    assert (row.asked, row.predicted, row.reused, row.computed, row.least) == (9, 4, 3, 6, 4)
    assert repr(tree) == "ScopeAccount('one', 3 samples, 4 live tokens)"


def test_label_probes_are_in_no_tree() -> None:
    accounts = Accounts()
    accounts.probed(4, 40, 30)
    accounts.probed(2, 20, 10)
    accounts.unanswered_probes(3)
    row = accounts.probes
    assert (row.samples, row.asked, row.reused, row.computed, row.unanswered) == (6, 60, 40, 20, 3)
    assert (accounts.total(0.0).asked, accounts.rows(0.0)) == (0, ())


def test_a_mark_does_not_outlive_its_run() -> None:
    accounts = Accounts()
    child = generated(accounts, root([1]), [2])
    assert pickle.loads(pickle.dumps(child)).made_by is None


def test_paths_find_only_what_ends_there() -> None:
    paths = Paths()
    top = paths.top(None)
    assert paths.computed(top, root([1])) == 0
    long = paths.add(top, packed([1, 2, 3]))
    assert paths.seek(top, packed([1, 2])) == 0
    assert paths.seek(top, packed([1, 2, 3])) == long
    assert paths.seek(top, packed([1, 2, 3, 4])) == 0
    assert [paths.computed(top, root(ids)) for ids in ([1], [1, 2, 3], [1, 2, 3, 4], [2])] == [1, 2, 2, 0]
    short = paths.put(top, packed([1, 2]))
    assert paths.put(top, packed([1, 2])) == short
    assert paths.parent[long] == short
    paths.release(long)
    assert (paths.tokens, repr(paths)) == (0, "Paths(0 tokens)")
