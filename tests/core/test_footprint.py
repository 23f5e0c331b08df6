from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ets_client._core.footprint import Footprints


def test_a_tree_keeps_the_permits_of_its_last_level_while_it_thinks() -> None:
    footprints = Footprints()
    footprints.add("a", 16, 0.0)
    assert footprints.next_expiry is None
    for _ in range(4):
        footprints.remove("a", 4, 2.0)
        assert footprints.reserved == 16
    footprints.add("a", 4, 2.1)
    assert footprints.reserved == 16


def test_what_is_kept_expires_after_half_of_the_time_that_the_samples_took() -> None:
    footprints = Footprints()
    footprints.add("a", 16, 10.0)
    footprints.remove("a", 16, 12.0)
    assert footprints.next_expiry == 13.0
    footprints.expire(12.9)
    assert footprints.reserved == 16
    footprints.expire(13.0)
    assert footprints.reserved == 0
    assert not footprints.next_expiry


def test_nothing_is_kept_for_longer_than_five_seconds() -> None:
    footprints = Footprints()
    footprints.add("a", 1, 0.0)
    footprints.remove("a", 1, 1000.0)
    assert footprints.next_expiry == 1005.0


def test_a_tree_that_trickles_on_does_not_keep_its_peak() -> None:
    footprints = Footprints()
    footprints.add("a", 256, 0.0)
    footprints.remove("a", 255, 1.0)
    footprints.expire(1.5)
    assert footprints.reserved == 1
    footprints.add("a", 2, 1.6)
    assert footprints.reserved == 3


def test_a_tree_that_came_back_in_time_keeps_its_permits_though_an_old_hold_ends() -> None:
    footprints = Footprints()
    footprints.add("a", 8, 0.0)
    footprints.remove("a", 8, 2.0)
    footprints.add("a", 8, 2.5)
    footprints.expire(3.0)
    footprints.remove("a", 4, 4.0)
    assert footprints.reserved == 8


def test_a_level_that_asks_for_less_shrinks_the_footprint() -> None:
    footprints = Footprints()
    for samples in (16, 4):
        footprints.add("a", samples, 0.0)
        footprints.remove("a", samples, 1.0)
    assert footprints.reserved == 4


def test_nothing_is_kept_for_a_finished_tree_nor_remembered_when_its_last_sample_ends() -> None:
    footprints = Footprints()
    footprints.add("a", 8, 0.0)
    footprints.add("b", 8, 0.0)
    footprints.remove("a", 4, 1.0)
    footprints.finish("a")
    assert footprints.reserved == 4 + 8
    footprints.remove("a", 4, 1.0)
    footprints.remove("b", 8, 1.0)
    footprints.finish("b")
    footprints.finish("b")
    assert footprints.reserved == 0
    footprints.expire(100.0)
    assert footprints.next_expiry is None


class Trees(RuleBasedStateMachine):
    """What is reserved is the sum over trees, never below what runs, and all of it is given up in the end."""

    def __init__(self) -> None:
        super().__init__()
        self.footprints = Footprints()
        self.running: dict[int, int] = {}
        self.now = 0.0

    @rule(tree=st.integers(0, 3), samples=st.integers(1, 9))
    def add(self, tree: int, samples: int) -> None:
        self.footprints.add(tree, samples, self.now)
        self.running[tree] = self.running.get(tree, 0) + samples

    @precondition(lambda self: any(self.running.values()))
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        tree = data.draw(st.sampled_from([tree for tree, samples in self.running.items() if samples]))
        samples = data.draw(st.integers(1, self.running[tree]))
        self.footprints.remove(tree, samples, self.now)
        self.running[tree] -= samples

    @rule(tree=st.integers(0, 3))
    def finish(self, tree: int) -> None:
        before = self.footprints.reserved
        self.footprints.finish(tree)
        assert self.footprints.reserved <= before

    @rule(seconds=st.floats(0, 3))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.footprints.expire(self.now)
        expiry = self.footprints.next_expiry
        assert expiry is None or expiry > self.now

    @invariant()
    def what_runs_is_reserved(self) -> None:
        assert self.footprints.reserved >= sum(self.running.values())

    def teardown(self) -> None:
        for tree, samples in self.running.items():
            if samples:
                self.footprints.remove(tree, samples, self.now)
        self.footprints.expire(self.now + 6)
        assert self.footprints.reserved == 0


TestTrees = Trees.TestCase
