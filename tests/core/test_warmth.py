from __future__ import annotations

from ets_client._core.warmth import Warmth
from tests.fakes import root


def test_a_known_prefix_is_warm_as_a_whole_and_a_stranger_is_cold() -> None:
    warmth = Warmth()
    warmth.add(root([1, 2, 3]))
    assert warmth.length(root([1, 2, 3])) == 3
    assert warmth.length(root([1, 2])) == 0


def test_a_child_is_warm_up_to_its_longest_known_ancestor() -> None:
    warmth, top = Warmth(), root([1, 2])
    child = top.child([3], "").child([4, 5], "")
    warmth.add(top)
    assert warmth.length(child) == 2
    assert child.parent is not None
    warmth.add(child.parent)
    assert warmth.length(child) == 3


def test_the_same_tokens_cut_into_other_steps_are_warm_too() -> None:
    warmth = Warmth()
    warmth.add(root([1]).child([2, 3], ""))
    assert warmth.length(root([1, 2, 3])) == 3


def test_namespaces_share_no_warmth() -> None:
    warmth = Warmth()
    warmth.add(root([1, 2], namespace="a"))
    assert warmth.length(root([1, 2], namespace="b")) == 0


def test_the_oldest_is_forgotten_first_and_adding_again_makes_new() -> None:
    warmth = Warmth(most=2)
    for token in (1, 2, 1, 3):
        warmth.add(root([token]))
    assert [warmth.length(root([token])) for token in (1, 2, 3)] == [1, 0, 1]
    assert len(warmth) == 2


def test_clear_forgets_everything() -> None:
    warmth = Warmth()
    warmth.add(root([1]))
    warmth.clear()
    assert (len(warmth), warmth.length(root([1]))) == (0, 0)
