from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client._core.kv_needs import KvNeeds
from ets_client._core.ticket import Ticket
from ets_client.prefix import Origin, Prefix

ORIGIN = Origin("tokenizer")


def root(name: int, tokens: int = 100, shared: int = 0) -> Prefix:
    return Prefix([7] * shared + [1000 + name] * (tokens - shared), "", origin=ORIGIN)


def ticket(tree: int, samples: int = 4, *, tokens: int = 100, path: int = 0, step: int = 10, shared: int = 0) -> Ticket:
    return Ticket(samples, tree, root=root(tree, tokens, shared), path=path, step=step)


@dataclass
class Started:
    """How many trees start one after the other until there is no more room."""

    needs: KvNeeds
    tickets: list[Ticket] = field(default_factory=list)

    def until_full(self, *, shared: int = 0) -> int:
        while self.needs.has_room and len(self.tickets) < 1000:
            self.tickets.append(ticket(len(self.tickets), shared=shared))
            self.needs.add(self.tickets[-1])
        return len(self.tickets)


def test_everything_fits_a_cache_of_unknown_size() -> None:
    assert Started(KvNeeds(None)).until_full() == 1000


def test_a_single_tree_may_be_larger_than_the_cache() -> None:
    needs = KvNeeds(10)
    assert needs.has_room
    needs.add(ticket(0))
    assert not needs.has_room


def test_trees_start_until_they_would_fill_nine_tenths_as_they_grow() -> None:
    # each needs 140 tokens and is expected to grow to 210
    assert Started(KvNeeds(10_000)).until_full() == (9_200 - 210) // 140 + 1


def test_examples_that_all_roots_share_are_counted_once() -> None:
    alone, shared = Started(KvNeeds(2_000)).until_full(), Started(KvNeeds(2_000)).until_full(shared=90)
    assert shared > 2 * alone


def test_a_finished_tree_makes_room_and_tells_how_large_trees_get() -> None:
    needs = KvNeeds(1_000)
    started = Started(needs)
    count = started.until_full()
    needs.finish(0)
    needs.finish("never started")
    assert needs.has_room
    needs.add(ticket(count))
    assert not needs.has_room


def test_a_tree_between_two_levels_keeps_what_it_had() -> None:
    needs = KvNeeds(400)
    first = ticket(0, samples=20)  # 300 tokens
    needs.add(first)
    needs.remove(first, 20, 200, 1.0)
    assert not needs.has_room
    needs.add(ticket(0, samples=1, path=10))
    assert not needs.has_room
    needs.finish(0)
    assert needs.has_room


def test_samples_are_counted_with_the_tokens_that_they_usually_have() -> None:
    needs = KvNeeds(10_000)
    long = ticket(0, samples=4, step=1000)
    needs.add(long)
    needs.remove(long, 4, 40, 1.0)
    needs.finish(0)
    for tree in range(1, 20):
        needs.add(ticket(tree, samples=4, step=1000))  # 140 tokens each, not 4,100
    assert needs.has_room


def test_a_tree_that_asks_for_nothing_any_more_is_forgotten() -> None:
    needs = KvNeeds(200)
    idle = ticket(0)
    needs.add(idle)
    needs.remove(idle, 4, None, 10.0)
    needs.expire(39.0)
    assert not needs.has_room
    needs.expire(41.0)
    assert needs.has_room


def test_a_running_tree_is_never_forgotten() -> None:
    needs = KvNeeds(200)
    needs.add(ticket(0))
    needs.expire(1e9)
    needs.forget_silent(1e9, 1.0)
    assert not needs.has_room


def test_silent_trees_are_forgotten_on_demand_and_looked_for_twice_in_their_time() -> None:
    needs = KvNeeds(200)
    idle = ticket(0)
    needs.add(idle)
    needs.remove(idle, 4, None, 10.0)
    needs.forget_silent(13.9, 4.0)
    assert not needs.has_room
    needs.forget_silent(15.0, 4.0)
    assert not needs.has_room
    needs.forget_silent(15.9, 4.0)
    assert needs.has_room


@pytest.mark.parametrize("one", [Ticket(1, "no root"), ticket(0)])
def test_what_was_not_counted_may_end(one: Ticket) -> None:
    needs = KvNeeds(None if one.root else 100)
    needs.add(one)
    needs.remove(one, 1, 5, 0.0)
    needs.finish(one.tree)
    assert needs.has_room


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["add", "remove", "finish"])), max_size=60))
def test_all_room_is_back_when_all_trees_are_finished(steps: list[tuple[int, str]]) -> None:
    needs = KvNeeds(5_000)
    running: dict[int, list[Ticket]] = {}
    for tree, step in steps:
        if step == "add":
            running.setdefault(tree, []).append(ticket(tree))
            needs.add(running[tree][-1])
        elif step == "remove" and running.get(tree):
            needs.remove(running[tree].pop(), 4, 40, 1.0)
        elif step == "finish":
            needs.finish(tree)
            running.pop(tree, None)
    for tree in range(6):
        needs.finish(tree)
    assert needs.has_room
