"""The shadow beside a plain set of paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ets_client._core.shadow import Reuse, Shadow
from ets_client._core.shadow_rules import CacheRules
from tests.fakes import root

if TYPE_CHECKING:
    from ets_client import Prefix
    from ets_client._core.shadow_sample import RunningSample

IDS = st.lists(st.integers(0, 2), max_size=6)
Path = tuple[str | None, tuple[int, ...]]


class NaiveMachine(RuleBasedStateMachine):
    """A server with room for everything, as the set of all paths it holds; strangers use it, too."""

    def __init__(self) -> None:
        super().__init__()
        self.start(1)

    @initialize(page=st.sampled_from([1, 2, 3]))
    def start(self, page: int) -> None:
        self.page = page
        self.shadow = Shadow(CacheRules(10**6, page))
        self.ours: set[Path] = set()
        self.theirs: set[Path] = set()
        self.running: list[tuple[RunningSample, int]] = []
        self.known: list[Prefix] = [root([])]

    @rule(ids=IDS, namespace=st.sampled_from([None, "a"]))
    def know_a_root(self, ids: list[int], namespace: str | None) -> None:
        self.known.append(root(ids, namespace=namespace))

    @rule(place=st.integers(0, 1000), ids=IDS)
    def know_a_child(self, place: int, ids: list[int]) -> None:
        self.known.append(self.known[place % len(self.known)].child(ids, ""))

    @rule(place=st.integers(0, 1000))
    def begin(self, place: int) -> None:
        prefix = self.known[place % len(self.known)]
        sample = self.shadow.begin(prefix)
        assert sample.predicted == self._longest(prefix, self.ours)
        self.running.append((sample, self._longest(prefix, self.ours | self.theirs)))

    @precondition(lambda self: bool(self.running))
    @rule(place=st.integers(0, 1000))
    def prefill(self, place: int) -> None:
        sample, cached = self.running[place % len(self.running)]
        self.shadow.prefilled(sample, cached)
        self.ours |= self._paths(sample.prefix, [])

    @precondition(lambda self: bool(self.running))
    @rule(place=st.integers(0, 1000), ids=IDS)
    def finish(self, place: int, ids: list[int]) -> None:
        sample, cached = self.running.pop(place % len(self.running))
        assert self.shadow.finish(sample, ids, cached) == Reuse(sample.predicted, cached)
        self.ours |= self._paths(sample.prefix, ids[:-1])
        self.known.append(sample.prefix.child(ids, ""))

    @precondition(lambda self: bool(self.running))
    @rule(place=st.integers(0, 1000))
    def lose(self, place: int) -> None:
        self.shadow.lost(self.running.pop(place % len(self.running))[0])

    @rule(place=st.integers(0, 1000))
    def a_stranger_computes(self, place: int) -> None:
        self.theirs |= self._paths(self.known[place % len(self.known)], [])

    @rule()
    def restart(self) -> None:
        self.shadow.clear()
        self.ours.clear()
        self.theirs.clear()
        self.running.clear()

    @invariant()
    def it_knows_what_we_computed_and_nothing_else(self) -> None:
        assert self.shadow.stats.tokens == len(self.ours) * self.page
        assert self.shadow.stats.disproved == self.shadow.stats.evicted == 0
        for prefix in self.known:
            assert self.shadow.warm_length(prefix) == self._longest(prefix, self.ours)

    def _paths(self, prefix: Prefix, tail: list[int]) -> set[Path]:
        ids = (*prefix.token_ids, *tail)
        return {(prefix.origin.namespace, ids[:cut]) for cut in range(self.page, len(ids) + 1, self.page)}

    def _longest(self, prefix: Prefix, held: set[Path]) -> int:
        ids = prefix.token_ids[:-1]
        return max(
            (len(path) for _, path in self._paths(root(ids, namespace=prefix.origin.namespace), []) & held), default=0
        )


TestNaive = NaiveMachine.TestCase
TestNaive.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
