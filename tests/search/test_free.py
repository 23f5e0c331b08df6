"""Searches without a barrier on a fake SGLang."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ets_client import AsyncPolicyClient
from ets_client.search import BestOfN, NodeAdded, Rebase, SearchEvent
from ets_client.search.journal import DecisionEntry
from ets_client.search.methods import Beam, Decision, Method, TreeView
from ets_client.search.record import Record
from ets_client.search.scorers import CallableScorer, PathScore, ScoredPath, Scorer
from ets_client.testing import FakeServer, ScriptedModel
from tests.fakes import eventually
from tests.search.trees import QUESTION, MemoryJournal, by_length_soon, search

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Patient:
    """Gives everything to the best node that is there, and remembers what it saw."""

    name = "patient"

    def __init__(self) -> None:
        self.seen: list[tuple[int, int, int]] = []

    def decide(self, view: TreeView) -> Decision:
        level = [node for node in view.nodes if node.depth == view.depth and node.state == "open"]
        self.seen.append((view.depth, view.width, sum(node.multiplicity for node in level)))
        best = max(level, key=lambda node: (node.score or 0.0, -node.number), default=None)
        return Decision({best.number: view.width} if best is not None and view.width else {})


class Gated(Scorer):
    """Lets a score go when a condition holds, so that tests decide what arrives when."""

    is_local = True  # each step is scored by itself

    def __init__(self, may_go: Callable[[str], bool]) -> None:
        self._may_go = may_go

    @property
    def name(self) -> str:
        return "gated"

    async def score(self, paths: Sequence[ScoredPath]) -> list[PathScore]:
        (path,) = paths
        await eventually(lambda: self._may_go(path.branch.text))
        return [PathScore(0.5)]


WORDS = ("a", "bb", "ccc", "dddd")


async def test_without_a_barrier_the_width_grows_with_what_has_arrived() -> None:
    method = Patient()

    def in_turn(text: str) -> bool:
        decided = sum(depth == 1 for depth, _, _ in method.seen)
        return text not in WORDS or WORDS.index(text) <= decided

    async with (
        FakeServer(model=ScriptedModel([f"{word}\n\n" for word in WORDS])) as running,
        AsyncPolicyClient(running.base_url, "tiny") as client,
    ):
        options: dict[str, Any] = {"barrier": "none", "width": 4, "depth": 2, "seed": None}
        result = await search(client, method, Gated(in_turn), **options).run(QUESTION)
        assert [seen for seen in method.seen if seen[0] < 2] == [(0, 4, 1), (1, 1, 1), (1, 2, 2), (1, 3, 3), (1, 4, 4)]
        first_level = result.tree.level(1)
        assert sum(node.width for node in first_level) == 4
        assert sum(node.multiplicity for node in result.tree.level(2)) == 4


async def test_what_arrives_while_a_decision_is_made_is_considered_together() -> None:
    method, journal, waiting = Patient(), MemoryJournal(), list[str]()

    def all_there(text: str) -> bool:
        waiting.append(text)
        return len(set(waiting)) == 4

    async with (
        FakeServer(model=ScriptedModel([f"{word}\n\n" for word in WORDS])) as running,
        AsyncPolicyClient(running.base_url, "tiny") as client,
    ):
        options: dict[str, Any] = {"barrier": "none", "width": 4, "depth": 1, "seed": None}
        await search(client, method, Gated(all_there), **options).run(QUESTION, record=Record(0, journal))
        decisions = [entry for entry in journal.entries if isinstance(entry, DecisionEntry)]
        considered = [entry.notes["after"].split() for entry in decisions[1:]]
        assert sorted(name for names in considered for name in names) == ["r.0", "r.1", "r.2", "r.3"]
        assert len(considered) < 4


@pytest.mark.parametrize("method", [Rebase(), Beam(), BestOfN()], ids=lambda method: method.name)
async def test_without_a_barrier_no_level_gets_more_than_its_width(client: AsyncPolicyClient, method: Method) -> None:
    result = await search(client, method, CallableScorer(by_length_soon), barrier="none").run(QUESTION)
    for depth in range(4):
        assert sum(node.width for node in result.tree.level(depth)) <= 8
    for node in result.tree:
        assert sum(child.multiplicity for child in node.children) == node.width
    assert (result.why, result.lost) == ("depth", 0)


async def test_without_a_barrier_a_child_is_expanded_before_its_sibling_is_there() -> None:
    order: list[str] = []

    def watch(event: SearchEvent) -> None:
        if isinstance(event, NodeAdded):
            order.append(event.node.id)

    def after_the_child(text: str) -> bool:
        return text != "Wait" or "r.0.0" in order

    model = ScriptedModel({"Take": "more\n\n", "": ["Take\n\n", "Wait\n\n"]})
    async with FakeServer(model=model) as running, AsyncPolicyClient(running.base_url, "tiny") as client:
        options: dict[str, Any] = {"barrier": "none", "width": 2, "depth": 2, "seed": None}
        await search(client, BestOfN(), Gated(after_the_child), **options).run(QUESTION, observe=watch)
        assert order == ["r.0", "r.0.0", "r.1", "r.1.0"]
