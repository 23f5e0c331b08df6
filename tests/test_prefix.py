from __future__ import annotations

import copy
import itertools
import pickle

from hypothesis import assume, given
from hypothesis import strategies as st

from ets_client import Origin, Prefix
from tests.fakes import root

IDS = st.lists(st.integers(0, 3), max_size=6)  # few tokens, so that paths often share some
STEPS = st.lists(IDS, min_size=1, max_size=5)


def grow(steps: list[list[int]], namespace: str | None = None) -> Prefix:
    prefix = root(steps[0], namespace=namespace)
    for step in steps[1:]:
        prefix = prefix.child(step, "")
    return prefix


def flat(steps: list[list[int]]) -> list[int]:
    return [token for step in steps for token in step]


def common(one: list[int], two: list[int]) -> int:
    pairs = zip(one, two, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(one), len(two)))


@given(STEPS, IDS)
def test_a_childs_tokens_are_its_parents_and_its_own(steps: list[list[int]], step: list[int]) -> None:
    parent = grow(steps)
    child = parent.child(step, "x")
    assert child.token_ids == parent.token_ids + step == flat([*steps, step])
    assert child.step_token_ids == tuple(step)
    assert len(child) == len(child.token_ids)
    assert child.origin == parent.origin


@given(STEPS, IDS, IDS)
def test_relatives_share_their_ancestors_as_objects(steps: list[list[int]], one: list[int], two: list[int]) -> None:
    parent = grow(steps)
    left, right = parent.child(one, ""), parent.child(two, "")
    assert left.parent is right.parent is parent
    assert left.path[:-1] == right.path[:-1] == parent.path
    assert left.root is right.root is parent.root


@given(STEPS, st.data())
def test_equality_and_hash_do_not_depend_on_where_steps_begin(steps: list[list[int]], data: st.DataObject) -> None:
    ids = flat(steps)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(ids)), max_size=4)))
    bounds = [0, *cuts, len(ids)]
    other = grow([ids[start:end] for start, end in itertools.pairwise(bounds)])
    assert other == grow(steps)
    assert hash(other) == hash(grow(steps))
    assert other.fingerprint == grow(steps).fingerprint


@given(STEPS, STEPS)
def test_two_paths_are_equal_exactly_when_their_tokens_are(one: list[list[int]], two: list[list[int]]) -> None:
    assert (grow(one) == grow(two)) == (flat(one) == flat(two))
    assert (grow(one).fingerprint == grow(two).fingerprint) == (flat(one) == flat(two))


@given(STEPS, STEPS)
def test_common_length_is_that_of_the_token_lists(one: list[list[int]], two: list[list[int]]) -> None:
    assert grow(one).common_length(grow(two)) == common(flat(one), flat(two))


@given(STEPS, st.lists(IDS, max_size=3), st.lists(IDS, max_size=3))
def test_common_length_of_relatives_is_that_of_the_token_lists(
    top: list[list[int]], one: list[list[int]], two: list[list[int]]
) -> None:
    left = right = grow(top)
    for step in one:
        left = left.child(step, "")
    for step in two:
        right = right.child(step, "")
    assert left.common_length(right) == right.common_length(left) == common(left.token_ids, right.token_ids)


@given(STEPS)
def test_boundaries_cut_the_tokens_into_the_steps(steps: list[list[int]]) -> None:
    prefix = grow(steps)
    assert len(prefix.boundaries) == prefix.depth == len(steps) - 1
    bounds = [0, *prefix.boundaries, len(prefix)]
    ids = prefix.token_ids
    assert [ids[start:end] for start, end in itertools.pairwise(bounds)] == steps


@given(STEPS, st.integers(0, 2))
def test_origins_separate_equal_tokens(steps: list[list[int]], which: int) -> None:
    assume(flat(steps))
    prefix = grow(steps)
    other = Prefix(flat(steps), "", origin=[Origin("other"), Origin("tok", "a"), Origin("tok", "")][which])
    assert prefix != other
    assert prefix.common_length(other) == 0


def test_token_ids_are_a_new_list_each_time() -> None:
    prefix = root([1, 2])
    prefix.token_ids.append(3)
    assert prefix.token_ids == [1, 2]


def test_the_text_is_that_of_all_steps() -> None:
    prefix = root([97]).child([98], "b\n\n").child([99], "c")
    assert (prefix.text, prefix.step_text, prefix.root.text) == ("ab\n\nc", "c", "a")


def test_a_root_has_no_parent_and_no_boundaries() -> None:
    top = root([97])
    assert (top.parent, top.depth, top.boundaries, top.path) == (None, 0, (), (top,))


def test_a_prefix_is_not_equal_to_other_things() -> None:
    assert root([1]) != [1]
    assert root([1]) != "a"


def test_a_prefix_can_be_copied_and_pickled() -> None:
    prefix = root([1]).child([2], "b")
    assert pickle.loads(pickle.dumps(prefix)) == copy.copy(prefix) == prefix


def test_the_repr_is_short_and_names_length_and_depth() -> None:
    shown = repr(root([97] * 1000).child([98], "b"))
    assert shown.startswith("Prefix(1001 tokens, depth 1, …'aaa")
    assert len(shown) < 100
