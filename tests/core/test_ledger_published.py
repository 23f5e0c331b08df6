"""ETS's own KV figure beside brute force and beside what its published code says of two trees."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from ets_client._core.ledger import Accounts, Answer
from tests.fakes import root

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ets_client import Prefix
    from ets_client._core.ledger_tree import TreeAccount


def sampled(
    accounts: Accounts, tree: TreeAccount | None, prefix: Prefix, ids: Sequence[int], *, is_open: bool = True
) -> Prefix:
    accounts.answer(tree, Answer(prefix, [ids], 1, 0, len(ids), 0, len(prefix), 0, closed=() if is_open else (0,)), 0.0)
    child = prefix.child(ids, "")
    child.made_by = accounts.maker
    return child


def steps(accounts: Accounts, tree: TreeAccount, prefix: Prefix, tokens: int, first: int, last: int) -> list[Prefix]:
    """Steps of so many tokens that begin with different ones."""
    return [sampled(accounts, tree, prefix, [number] * tokens) for number in range(first, last + 1)]


def test_the_figures_of_the_golden_trees() -> None:
    accounts = Accounts()
    one, two = accounts.open("A"), accounts.open("B")
    a = root([9] * 30)
    level = steps(accounts, one, a, 40, 1, 8)
    assert one.row(0.0).published_kv == 2  # the level of the root alone
    sampled(accounts, one, level[0], [1])
    assert one.row(0.0).published_kv == 2 + 322

    b = root([9] * 30)
    first = steps(accounts, two, b, 40, 1, 3)
    below = steps(accounts, two, first[0], 30, 4, 7)
    steps(accounts, two, first[1], 50, 8, 9)
    steps(accounts, two, first[2], 60, 10, 10)
    assert two.row(0.0).published_kv == 2 + (2 + 3 * 40)
    accounts.prune(two, first[2], 0.0)  # it is taken before
    sampled(accounts, two, below[0], [1])
    assert two.row(0.0).published_kv == 2 + (2 + 3 * 40) + 402
    accounts.close(two, 0.0)
    assert two.row(0.0).published_kv == 2 + (2 + 3 * 40) + 402
    assert accounts.total(0.0).published_kv == (2 + 322) + (2 + 122 + 402)
    assert accounts.total(0.0).in_bytes(2.0).published_kv == 2 * (2 + 322 + 2 + 122 + 402)


def test_answers_are_no_candidates_and_what_came_out_twice_is_one() -> None:
    accounts = Accounts()
    tree, first = accounts.open(""), root([1])
    sampled(accounts, tree, first, [5] * 7, is_open=False)
    twin = sampled(accounts, tree, first, [6] * 3)
    sampled(accounts, tree, first, [6] * 3)
    sampled(accounts, tree, twin, [7])
    assert tree.row(0.0).published_kv == 2 + (2 + 3)


def test_what_was_given_counts_on_the_levels_below_and_on_its_own_when_it_is_sent() -> None:
    accounts = Accounts()
    tree = accounts.open("")
    resumed = root([1]).child([2] * 10, "").child([3] * 20, "")
    sampled(accounts, tree, resumed, [4] * 5)
    assert tree.row(0.0).published_kv == 20 + 10 + 2
    sampled(accounts, tree, resumed, [5] * 5)
    assert tree.row(0.0).published_kv == 20 + 10 + 2


# Which known prompt to sample after, the tokens of the step, and whether the text goes on.
SAMPLES = st.lists(st.tuples(st.integers(0, 99), st.integers(1, 9), st.booleans()), max_size=40)


@given(SAMPLES)
@settings(max_examples=300)
def test_each_level_counts_its_candidates_and_what_is_above_them(samples: list[tuple[int, int, bool]]) -> None:
    accounts = Accounts()
    tree, first = accounts.open(""), root([1])
    known, sent = [first], set[int]()
    candidates: defaultdict[int, list[Prefix]] = defaultdict(list)
    for number, (place, tokens, is_open) in enumerate(samples):
        prompt = known[place % len(known)]
        sent.add(prompt.depth)
        child = sampled(accounts, tree, prompt, [number] * tokens, is_open=is_open)
        if is_open:
            known.append(child)
            candidates[child.depth].append(child)
    candidates[0].append(first)
    expected = 0
    for level in sent:
        counted = {id(step): step for candidate in candidates[level] for step in candidate.path}.values()
        expected += sum(2 if step is first else len(step.step_token_ids) for step in counted)
    assert tree.row(0.0).published_kv == expected
