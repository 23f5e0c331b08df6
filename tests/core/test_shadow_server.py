"""The shadow beside SGLang's cache as the fake server has it, which shares no code with it: they never disagree."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ets_client._core.shadow import Shadow
from ets_client._core.shadow_rules import CacheRules
from ets_client.testing.job import Job
from ets_client.testing.model import SeededModel
from ets_client.testing.options import FakeOptions
from ets_client.testing.radix import Node, RadixTree
from ets_client.testing.sampling import Sampling
from ets_client.testing.scheduler import Scheduler
from ets_client.testing.tokenizer import ByteTokenizer
from tests.fakes import root

if TYPE_CHECKING:
    from ets_client import Prefix
    from ets_client._core.shadow_sample import RunningSample

IDS = st.lists(st.integers(0, 2), max_size=5)
TOKENIZER = ByteTokenizer()


@dataclass
class Both:
    """One running sample on both sides."""

    sample: RunningSample
    node: Node
    space: str | None
    held: int = 0
    is_prefilled: bool = False


class ServerMachine(RuleBasedStateMachine):
    """Many samples at once, in any order of events, in a cache that is too small for them."""

    def __init__(self) -> None:
        super().__init__()
        self.known: list[Prefix] = []
        self.running: list[Both] = []
        self.held = self.flushed = 0

    @initialize(page=st.sampled_from([1, 1, 2, 4]), capacity=st.integers(8, 60))
    def start(self, page: int, capacity: int) -> None:
        self.page, self.capacity = page, capacity
        self.tree = RadixTree(page)
        self.shadow = Shadow(CacheRules(capacity, page))

    @rule(ids=IDS, space=st.sampled_from([None, "a"]))
    def know(self, ids: list[int], space: str | None) -> None:
        self.known.append(root(ids, namespace=space))

    @precondition(lambda self: bool(self.known))
    @rule(place=st.integers(0, 1000), ids=IDS)
    def continue_one(self, place: int, ids: list[int]) -> None:
        self.known.append(self.known[place % len(self.known)].child(ids, ""))

    @precondition(lambda self: bool(self.known))
    @rule(place=st.integers(0, 1000))
    def begin(self, place: int) -> None:
        prefix = self.known[place % len(self.known)]
        space = prefix.origin.namespace
        node = self.tree.match(prefix.token_ids, len(prefix) - 1, space)
        self.tree.lock(node)
        both = Both(self.shadow.begin(prefix), node, space)
        assert both.sample.predicted == node.depth
        self._occupy(both, len(prefix))
        self.running.append(both)

    @precondition(lambda self: bool(self.running))
    @rule(place=st.integers(0, 1000), is_told=st.booleans())
    def prefill(self, place: int, is_told: bool) -> None:
        both = self.running[place % len(self.running)]
        self._prefill(both)
        self.shadow.prefilled(both.sample, both.sample.predicted if is_told else None)

    @precondition(lambda self: any(both.is_prefilled for both in self.running))
    @rule(place=st.integers(0, 1000), generated=st.integers(1, 8))
    def grow(self, place: int, generated: int) -> None:
        decoding = [both for both in self.running if both.is_prefilled]
        both = decoding[place % len(decoding)]
        self._occupy(both, len(both.sample.prefix) + generated - 1)
        self.shadow.grown(both.sample, generated)

    @precondition(lambda self: bool(self.running))
    @rule(place=st.integers(0, 1000), ids=IDS)
    def finish(self, place: int, ids: list[int]) -> None:
        both = self.running.pop(place % len(self.running))
        self._prefill(both)
        self._occupy(both, len(both.sample.prefix) + max(0, len(ids) - 1))
        if len(ids) > 1:
            self._share(both, both.sample.prefix.token_ids + ids[:-1])
        self.known.append(both.sample.prefix.child(ids, ""))
        self.shadow.finish(both.sample, ids, both.sample.predicted)
        self._free(both)

    @precondition(lambda self: bool(self.running))
    @rule(place=st.integers(0, 1000))
    def lose(self, place: int) -> None:
        both = self.running.pop(place % len(self.running))
        self.shadow.lost(both.sample)
        self._free(both)

    @precondition(lambda self: not self.running)
    @rule()
    def flush(self) -> None:
        self.flushed += self.tree.evicted
        self.tree = RadixTree(self.page)
        self.shadow.clear()

    @invariant()
    def they_agree(self) -> None:
        if not hasattr(self, "tree"):
            return
        assert (self.shadow.stats.tokens, self.shadow.stats.evicted) == (
            self.tree.size,
            self.flushed + self.tree.evicted,
        )
        assert self.shadow.stats.error == 0
        assert self.shadow.stats.running_tokens == self.held
        for prefix in self.known:
            expected = self.tree.match_length(prefix.token_ids, len(prefix) - 1, prefix.origin.namespace)
            assert self.shadow.warm_length(prefix) == expected

    def _prefill(self, both: Both) -> None:
        if not both.is_prefilled:
            both.is_prefilled = True
            self._share(both, both.sample.prefix.token_ids)
            self._occupy(both, len(both.sample.prefix))

    def _share(self, both: Both, ids: list[int]) -> None:
        node = self.tree.insert(ids, both.space)
        self.tree.lock(node)
        self.tree.unlock(both.node)
        both.node = node

    def _occupy(self, both: Both, filled: int) -> None:
        held = max(0, -(-filled // self.page) * self.page - both.node.depth)
        self.held += held - both.held
        both.held = held
        self._make_room()

    def _free(self, both: Both) -> None:
        self.held -= both.held
        self.tree.unlock(both.node)
        self._make_room()

    def _make_room(self) -> None:
        self.tree.evict(max(0, self.tree.size + self.held - self.capacity))


TestServer = ServerMachine.TestCase
TestServer.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)

STEPS = st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 4), st.integers(1, 12)), min_size=1, max_size=25)


def scheduler(**options: int | None) -> Scheduler:
    model = SeededModel()
    model.bind(TOKENIZER)
    return Scheduler(FakeOptions(**options), model, TOKENIZER)  # type: ignore[arg-type]


def job(rid: str, prompt: list[int], most: int) -> Job:
    return Job(rid, prompt, Sampling(ignore_eos=True), most, lambda _: None)


@given(STEPS, st.sampled_from([1, 4, 16]), st.sampled_from([160, 320, 640]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_search_that_asks_for_one_sample_at_a_time_is_predicted_to_the_token_through_all_evictions(
    steps: list[tuple[int, int, int]], page: int, capacity: int
) -> None:
    server = scheduler(page_size=page, max_total_tokens=capacity, chunked_prefill_size=None)
    shadow = Shadow(CacheRules(capacity, page))
    nodes = [root([first, *range(100, 140)]) for first in (1, 2, 3)]
    for number, (place, n, length) in enumerate(steps):
        prefix = nodes[place % len(nodes)]
        if len(prefix) + length + 2 * page > capacity:
            continue
        for each in range(n):
            wish, sample = job(f"{number}-{each}", prefix.token_ids, length), shadow.begin(prefix)
            server.submit(wish)
            while (step := server.next_step()) is not None:
                server.finish_step(step, 0.0)
            assert wish.cached == sample.predicted
            shadow.finish(sample, wish.output, wish.cached)
            assert (shadow.stats.tokens, shadow.stats.evicted) == (server.tree.size, server.tree.evicted)
            nodes.append(prefix.child(wish.output, ""))
    assert shadow.stats.error == shadow.stats.running_tokens == 0


@given(STEPS, st.sampled_from([1, 4]), st.integers(1, 4))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_batches_that_run_together_are_predicted_to_the_token_while_there_is_room(
    steps: list[tuple[int, int, int]], page: int, together: int
) -> None:
    server = scheduler(page_size=page)
    shadow = Shadow(CacheRules(65536, page))
    nodes = [root([first, *range(100, 140)]) for first in (1, 2, 3)]
    for start, end in pairwise([*range(0, len(steps), together), len(steps)]):
        jobs: list[tuple[Job, RunningSample]] = []
        for place, n, length in steps[start:end]:
            prefix = nodes[place % len(nodes)]
            jobs += [(job(str(len(jobs)), prefix.token_ids, length), shadow.begin(prefix)) for _ in range(n)]
        for wish, _ in jobs:
            server.submit(wish)
        while (step := server.next_step()) is not None:
            server.finish_step(step, 0.0)
        for wish, sample in jobs:
            assert wish.cached == sample.predicted
            shadow.finish(sample, wish.output, wish.cached)
            nodes.append(sample.prefix.child(wish.output, ""))
    assert shadow.stats.error == 0
    assert shadow.stats.tokens == server.tree.size


@given(STEPS, st.integers(0, 60))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_one_reply_after_a_strangers_eviction_mends_all_that_hangs_below(
    steps: list[tuple[int, int, int]], gone: int
) -> None:
    server = scheduler()
    shadow = Shadow(CacheRules(65536))
    nodes = [root([first, *range(100, 140)]) for first in (1, 2, 3)]
    for number, (place, n, length) in enumerate(steps):
        prefix = nodes[place % len(nodes)]
        for each in range(n):
            wish, sample = job(f"{number}-{each}", prefix.token_ids, length), shadow.begin(prefix)
            server.submit(wish)
            while (step := server.next_step()) is not None:
                server.finish_step(step, 0.0)
            found = wish.cached or 0
            assert shadow.finish(sample, wish.output, found).shortfall == sample.predicted - found
            nodes.append(prefix.child(wish.output, ""))
            if found == sample.predicted:
                continue
            assert found < sample.predicted
            lost = prefix.token_ids[: found + 1]
            for other in nodes:
                if other.token_ids[: found + 1] == lost:
                    held = server.tree.match_length(other.token_ids, len(other) - 1)
                    assert shadow.warm_length(other) == held
        server.tree.evict(gone)
