"""Searches made again from their journals alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import pytest

from ets_client import AsyncPolicyClient, ConfigurationError, load_profile
from ets_client.search import (
    Budget,
    JournalError,
    Question,
    RunFolder,
    SearchEnded,
    SearchEvent,
    SearchOptions,
    SearchResult,
    TreeSearch,
    manifest_of,
    search_all,
    weighted_vote,
)
from ets_client.search.journal import DecisionEntry, Entry, QuestionEntry, ScoresEntry, StepsEntry
from ets_client.search.journal.codec import decode_line, encode_line
from ets_client.search.methods import Beam, BestOfN, Rebase
from ets_client.search.replay import RecordsEnd, ReplayedQuestion, replay
from ets_client.search.scorers import CallableScorer, SelfConsistency
from ets_client.testing import FakeOptions, FakeServer, SeededModel
from tests.search.journal.lines import manifest
from tests.search.trees import arithmetic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ets_client.search.options import Barrier
    from ets_client.search.scorers import ScoredPath, Scorer

QUESTIONS = [Question(problem=f"{number} + 1?") for number in range(5)]


@dataclass
class Recorded:
    folder: Path
    results: dict[int, SearchResult]


async def by_length(paths: Sequence[ScoredPath]) -> list[float | None]:
    return [None if len(path.branch.token_ids) > 9 else 1 / (1 + len(path.branch.token_ids)) for path in paths]


async def record(folder: Path, barrier: Barrier = "level", scorer: Scorer | None = None) -> Recorded:
    """A run that is the same each time: what a fake draws without seeds depends on the order in which requests come."""
    tiny = load_profile("tiny")
    assert tiny.answer is not None
    answer = tiny.answer.model_copy(update={"pattern": "([a-e])[a-k]"})  # the fake's text is noise
    profile = tiny.model_copy(update={"model": None, "answer": answer})
    results: dict[int, SearchResult] = {}
    model = SeededModel(text_end=0.05, line_end=0.2)

    def keep(event: SearchEvent) -> None:
        if isinstance(event, SearchEnded):
            results[event.number] = event.result

    async with (
        FakeServer(FakeOptions(enable_deterministic_inference=True), model=model) as server,
        AsyncPolicyClient(server.base_url, profile) as client,
    ):
        search = TreeSearch(client, Rebase(), scorer, SearchOptions(width=8, depth=5, barrier=barrier, seed=7))
        async with RunFolder(folder).begin(manifest_of(search, QUESTIONS)) as run:
            await search_all(search, QUESTIONS, run=run, observe=keep)
    return Recorded(folder, results)


def rewrite(folder: Path, change: Callable[[Entry], Entry | None]) -> None:
    """Change lines of a journal, or leave them out."""
    path = RunFolder(folder).journal
    entries = [change(decode_line(line)) for line in path.read_bytes().split(b"\n")[:-1]]
    path.write_bytes(b"".join(encode_line(entry) for entry in entries if entry is not None))


def files(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir()}


async def all_of(folder: Path, *args: object, **fields: object) -> list[ReplayedQuestion]:
    return [each async for each in replay(folder, *args, **fields)]  # type: ignore[arg-type]


@pytest.mark.parametrize("barrier", ["level", "none"])
@pytest.mark.parametrize("scorer", [None, CallableScorer(by_length)])
async def test_a_replay_decides_what_the_run_decided(tmp_path: Path, barrier: Barrier, scorer: Scorer | None) -> None:
    recorded = await record(tmp_path, barrier, scorer)
    replayed = await all_of(tmp_path, Rebase())
    assert [each.number for each in replayed] == list(range(len(QUESTIONS)))
    for each in replayed:
        result = recorded.results[each.number]
        assert (each.difference, each.records_end, each.why) == (None, None, result.why)
        assert each.answer == result.answer
        assert [
            (node.id, node.score, node.answer, node.state, node.multiplicity, node.width, node.prefix)
            for node in each.tree
        ] == [
            (node.id, node.score, node.answer, node.state, node.multiplicity, node.width, node.prefix)
            for node in result.tree
        ]
        assert each.decisions[0].children == [("r", 8)]


async def test_of_an_agreement_the_votes_weigh_as_they_did(tmp_path: Path) -> None:
    recorded = await record(tmp_path, scorer=SelfConsistency())
    replayed = await all_of(tmp_path, Rebase())
    assert [each.answer for each in replayed] == [recorded.results[each.number].answer for each in replayed]


async def test_each_sample_of_a_node_votes_as_it_did(tmp_path: Path) -> None:
    async def less_for_many(paths: Sequence[ScoredPath]) -> list[float]:
        return [0.4 if path.branch.text.endswith("12") else 0.6 for path in paths]

    model = arithmetic("7", "12", "12", "12")
    async with FakeServer(model=model) as server, AsyncPolicyClient(server.base_url, "tiny") as client:
        search = TreeSearch(client, BestOfN(), CallableScorer(less_for_many), SearchOptions(width=4))
        async with RunFolder(tmp_path).begin(manifest_of(search, QUESTIONS[:1])) as run:
            result = await search_all(search, QUESTIONS[:1], run=run)
    (replayed,) = await all_of(tmp_path, BestOfN())
    assert (replayed.answer, replayed.why) == (result.results[0].answer, "done") == ("12", "done")


async def test_nothing_in_the_folder_is_changed(tmp_path: Path) -> None:
    await record(tmp_path)
    before = files(tmp_path)
    await all_of(tmp_path, Beam())
    assert files(tmp_path) == before


async def test_a_decision_that_is_not_the_methods_is_named_with_both(tmp_path: Path) -> None:
    await record(tmp_path)

    def change(entry: Entry) -> Entry:
        if isinstance(entry, DecisionEntry) and entry.question == 2 and entry.turn <= 1:  # the first of them is told
            return msgspec.structs.replace(entry, children=[("r", 7)])
        return entry

    rewrite(tmp_path, change)
    replayed = await all_of(tmp_path, Rebase())
    assert [each.number for each in replayed if each.difference is not None] == [2]
    difference = replayed[2].difference
    assert difference is not None
    assert (difference.turn, difference.recorded.children, difference.made.children) == (0, [("r", 7)], [("r", 8)])
    assert str(difference) == "turn 0, level 0: children recorded [('r', 7)], made [('r', 8)]"


async def test_a_methods_memory_counts_and_its_notes_do_not(tmp_path: Path) -> None:
    await record(tmp_path)

    def change(entry: Entry) -> Entry:
        if isinstance(entry, DecisionEntry):
            memory = {"seen": 1} if entry.question == 1 else entry.memory
            return msgspec.structs.replace(entry, memory=memory, notes={"solver": "another"})
        return entry

    rewrite(tmp_path, change)
    replayed = await all_of(tmp_path, Rebase())
    assert [each.number for each in replayed if each.difference is not None] == [1]
    assert "memory recorded {'seen': 1}, made {" in str(replayed[1].difference)


async def test_another_method_is_followed_until_the_records_end_and_nothing_is_made_up(tmp_path: Path) -> None:
    recorded = await record(tmp_path)
    drawn: set[tuple[int, str]] = set()

    def collect(entry: Entry) -> Entry:
        if isinstance(entry, StepsEntry):
            drawn.update((entry.question, f"{entry.parent}.{entry.first + k}") for k in range(len(entry.steps)))
        return entry

    rewrite(tmp_path, collect)
    replayed = await all_of(tmp_path, Beam())
    assert all(each.difference is not None for each in replayed)
    assert any(each.records_end is not None for each in replayed)
    for each in replayed:
        assert {(each.number, node.id) for node in each.tree if node.id != "r"} <= drawn
        known = {node.id: node.score for node in recorded.results[each.number].tree}
        assert all(node.score == known[node.id] for node in each.tree)
        end = each.records_end
        assert (each.why == "records") == (end is not None)
        if end is not None:
            assert end.place is not None
            assert (each.number, f"{end.node}.{end.place}") not in drawn
            assert dict(each.decisions[-1].children)[end.node] >= end.wanted >= 1


async def test_less_width_is_answered_by_a_part_of_the_records(tmp_path: Path) -> None:
    await record(tmp_path)
    for each in await all_of(tmp_path, Rebase(), options=SearchOptions(width=4, depth=1)):
        assert each.decisions[0].children == [("r", 4)]
        assert each.records_end is None
        assert sum(node.multiplicity for node in each.tree) == 1 + 4


async def test_a_budget_of_tokens_ends_a_replay_as_it_ends_a_search(tmp_path: Path) -> None:
    await record(tmp_path)
    options = SearchOptions(width=8, depth=5, budget=Budget(tokens=10, seconds=1e-9))
    for each in await all_of(tmp_path, Rebase(), options=options):
        assert (each.why, each.difference, len(each.decisions)) == ("tokens", None, 1)


async def test_a_score_that_is_missing_ends_the_records_too(tmp_path: Path) -> None:
    await record(tmp_path)
    rewrite(tmp_path, lambda entry: None if isinstance(entry, ScoresEntry) and entry.question == 3 else entry)
    (replayed,) = await all_of(tmp_path, Rebase(), questions=[3])
    assert replayed.records_end == RecordsEnd("r.0", None, 0)
    assert str(replayed.records_end) == "node r.0 was never scored"
    assert (replayed.why, len(replayed.tree), replayed.answer) == ("records", 1, None)


async def test_a_run_that_was_killed_is_replayed_to_its_end(tmp_path: Path) -> None:
    await record(tmp_path)
    path = RunFolder(tmp_path).journal
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    replayed = await all_of(tmp_path, Rebase())
    assert all(each.difference is None for each in replayed)
    assert any(each.records_end is not None for each in replayed)


async def test_the_weights_of_votes_can_be_another_scorers(tmp_path: Path) -> None:
    await record(tmp_path, scorer=CallableScorer(by_length))

    class Longest(CallableScorer):
        def weight(self, step_scores: Sequence[float]) -> float:
            return 10.0 ** len(step_scores)

    for scorer in (CallableScorer(by_length), Longest(by_length)):
        for each in await all_of(tmp_path, Rebase(), scorer=scorer):
            assert each.answer == weighted_vote(
                (node.answer or "", node.multiplicity * scorer.weight(node.step_scores()))
                for node in each.tree.answered()
            )


async def test_a_run_of_ones_own_search_needs_options(tmp_path: Path) -> None:
    RunFolder(tmp_path).begin(manifest()).journal.shut().result(10)
    with pytest.raises(ConfigurationError, match="does not tell its 'width': give `options`"):
        await all_of(tmp_path, Rebase())
    assert await all_of(tmp_path, Rebase(), options=SearchOptions()) == []


async def test_a_question_that_is_not_there_is_told(tmp_path: Path) -> None:
    await record(tmp_path)
    with pytest.raises(JournalError, match="has no question 77"):
        await all_of(tmp_path, Rebase(), questions=[77])
    rewrite(tmp_path, lambda entry: None if isinstance(entry, QuestionEntry) and entry.question == 0 else entry)
    with pytest.raises(JournalError, match="none that tells how it began"):
        await all_of(tmp_path, Rebase())
