"""Searches on a fake SGLang: with and without a barrier, killed and resumed, within budgets, with steps cut short."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from ets_client import AsyncPolicyClient, ConfigurationError, EndReason, SamplingParams
from ets_client.search import BestOfN, Budget, Node, SearchResult, search_all
from ets_client.search.journal import DecisionEntry, EndEntry, ScoresEntry, StepsEntry
from ets_client.search.methods import Decision, TreeView
from ets_client.search.record import Record
from ets_client.search.scorers import CallableScorer, LogProb, ScoredPath, SelfConsistency
from ets_client.testing import Costs, FakeOptions, FakeServer, Reset, ScriptedModel
from tests.fakes import eventually
from tests.search.trees import QUESTION, KilledError, MemoryJournal, arithmetic, by_length_soon, search

if TYPE_CHECKING:
    from collections.abc import Sequence


def shape(result: SearchResult) -> list[tuple[object, ...]]:
    return [
        (
            node.id,
            node.number,
            node.multiplicity,
            node.width,
            node.score,
            node.answer,
            node.state,
            node.prefix.token_ids,
        )
        for node in result.tree
    ]


@pytest.mark.parametrize("scorer", [LogProb(), CallableScorer(by_length_soon)], ids=["local", "remote"])
async def test_scores_that_come_early_grow_the_same_tree_as_those_that_come_together(
    client: AsyncPolicyClient, scorer: Any
) -> None:
    once, again = [await search(client, scorer=scorer).run(QUESTION) for _ in range(2)]
    assert shape(once) == shape(again)
    assert len(once.tree) > 12


@pytest.mark.parametrize("barrier", ["level", "none"])
@pytest.mark.parametrize("scorer", [LogProb(), CallableScorer(by_length_soon)], ids=["local", "remote"])
async def test_a_search_that_is_killed_anywhere_resumes_to_the_same_tree_and_pays_nothing_twice(
    client: AsyncPolicyClient, scorer: Any, barrier: str
) -> None:
    whole = MemoryJournal()
    options: dict[str, Any] = {"scorer": scorer, "barrier": barrier, "width": 4, "depth": 3}
    undisturbed = await search(client, **options).run(QUESTION, record=Record(0, whole))
    assert isinstance(whole.entries[-1], EndEntry)
    for most in range(len(whole.entries)):
        journal = MemoryJournal(whole.entries[:most])
        resumed = await search(client, **options).run(QUESTION, record=Record(0, journal, journal.paid.question(0)))
        if barrier == "level":
            assert shape(resumed) == shape(undisturbed)
        else:  # what arrives first is not decided by what was recorded before it
            assert len(resumed.tree) > 4
        sampled = Counter[str]()
        scored = Counter[str]()
        turns: list[int] = []
        for entry in journal.entries:
            if isinstance(entry, StepsEntry):
                sampled.update(f"{entry.parent}.{entry.first + k}" for k in range(len(entry.steps)))
            elif isinstance(entry, ScoresEntry):
                scored.update(entry.nodes)
            elif isinstance(entry, DecisionEntry):
                turns.append(entry.turn)
        assert set(sampled.values()) | set(scored.values()) == {1}
        assert turns == list(range(len(turns)))


@pytest.mark.parametrize("barrier", ["level", "none"])
async def test_a_search_that_has_ended_is_replayed_from_its_journal_alone(
    client: AsyncPolicyClient, server: FakeServer, barrier: str
) -> None:
    journal = MemoryJournal()
    scorer = CallableScorer(by_length_soon)
    first = await search(client, scorer=scorer, barrier=barrier).run(QUESTION, record=Record(0, journal))
    asked = len(server.requests)
    again = await search(client, scorer=CallableScorer(lambda paths: []), barrier=barrier).run(
        QUESTION, record=Record(0, MemoryJournal(), journal.paid.question(0))
    )
    assert shape(again) == shape(first)
    assert (again.usage, again.expands, again.samples) == (first.usage, first.expands, first.samples)
    assert len(server.requests) == asked


async def test_the_time_of_a_session_that_was_killed_counts_when_the_search_has_ended(
    client: AsyncPolicyClient,
) -> None:
    whole = MemoryJournal()
    await search(client).run(QUESTION, record=Record(0, whole))
    killed = MemoryJournal(
        [
            structs.replace(entry, at=1000.0, seconds=300.0) if isinstance(entry, StepsEntry) else entry
            for entry in whole.entries[: len(whole.entries) // 2]
        ]
    )
    assert any(isinstance(entry, StepsEntry) for entry in killed.entries)
    resumed = await search(client).run(QUESTION, record=Record(0, killed, killed.paid.question(0)))
    assert 300.0 < resumed.seconds < 310.0
    ended = killed.entries[-1]
    assert isinstance(ended, EndEntry)
    assert ended.seconds == resumed.seconds


async def test_a_killed_process_leaves_a_journal_that_a_search_goes_on_with(client: AsyncPolicyClient) -> None:
    journal = MemoryJournal(most=7)
    with pytest.raises(BaseException) as killed:  # noqa: PT011 - a bare one, or in a group
        await search(client, scorer=CallableScorer(by_length_soon)).run(QUESTION, record=Record(0, journal))
    assert isinstance(killed.value, KilledError)
    journal.most = None
    result = await search(client, scorer=CallableScorer(by_length_soon)).run(
        QUESTION, record=Record(0, journal, journal.paid.question(0))
    )
    assert result.is_complete


async def test_steps_are_scored_while_their_siblings_decode() -> None:
    in_flight: list[int] = []

    async def note(paths: Sequence[ScoredPath]) -> list[float]:
        in_flight.append(policy.stats.samples_in_flight)
        return [0.5] * len(paths)

    model = ScriptedModel(["Take\n\n", "people " * 24 + "\n\n"])
    async with (
        FakeServer(model=model, costs=Costs(decode_step=0.02)) as running,
        AsyncPolicyClient(running.base_url, "tiny") as policy,
    ):
        await search(policy, BestOfN(), CallableScorer(note), width=2, depth=1, seed=None).run(QUESTION)
        assert in_flight[0] > 0
        assert len(in_flight) == 2


async def test_self_consistency_needs_a_barrier(client: AsyncPolicyClient) -> None:
    for options in ({"barrier": "none"}, {"watch": lambda node, text: True}):
        with pytest.raises(ConfigurationError, match="take barrier='level' and no watch"):
            search(client, scorer=SelfConsistency(), **options)


@pytest.mark.parametrize("barrier", ["level", "none"])
async def test_doubles_are_one_node_scored_once_with_all_their_votes(barrier: str) -> None:
    seen: list[int] = []

    async def count(paths: Sequence[ScoredPath]) -> list[float]:
        seen.append(len(paths))
        await asyncio.sleep(0)  # the doubles come while the first of them is scored
        return [0.5] * len(paths)

    async with (
        FakeServer(model=arithmetic("12", "7", "12", "12")) as running,
        AsyncPolicyClient(running.base_url, "tiny") as client,
    ):
        scorer = CallableScorer(count)
        result = await search(client, BestOfN(), scorer, width=4, seed=None, barrier=barrier).run(QUESTION)
        assert sorted(node.multiplicity for node in result.tree.level(1)) == [1, 3]
        assert sum(seen) == len(result.tree) - 1 < result.samples
        assert (result.answer, result.is_correct) == ("12", True)
        agreed = await search(client, BestOfN(), SelfConsistency(), width=4, seed=None).run(QUESTION)
        assert {node.score for node in agreed.tree.answered()} == {0.75, 0.25}


async def test_each_sample_that_came_out_as_a_node_votes() -> None:
    async def less_for_many(paths: Sequence[ScoredPath]) -> list[float]:
        return [0.4 if path.branch.text.endswith("12") else 0.6 for path in paths]

    async with (
        FakeServer(model=arithmetic("7", "12", "12", "12")) as running,
        AsyncPolicyClient(running.base_url, "tiny") as client,
    ):
        result = await search(client, BestOfN(), CallableScorer(less_for_many), width=4, seed=None).run(QUESTION)
        votes = {node.answer: node.multiplicity for node in result.tree.answered()}
        assert votes == {"7": 1, "12": 3}
        assert result.answer == "12"  # 3 times 0.4 against 0.6


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("barrier", ["level", "none"])
async def test_a_score_that_is_no_number_is_a_missing_one_with_its_reason(
    client: AsyncPolicyClient, value: float, barrier: str
) -> None:
    async def odd(paths: Sequence[ScoredPath]) -> list[float]:
        return [value if path.branch.token_ids[0] % 2 else 0.5 for path in paths]

    journal = MemoryJournal()
    result = await search(client, scorer=CallableScorer(odd), barrier=barrier).run(QUESTION, record=Record(0, journal))
    assert (result.error, result.is_complete) == (None, True)
    without = [node for node in list(result.tree)[1:] if node.score is None]
    assert without
    assert {node.score_failure for node in without} == {f"the score is {value}"}
    reasons = [text for entry in journal.entries if isinstance(entry, ScoresEntry) for text in entry.reasons.values()]
    assert len(reasons) == len(without)


LONG = "people water long little very after words called\n\n"
CUT = {EndReason.STEP_LENGTH, EndReason.DELIMITER}


@pytest.mark.parametrize(
    ("on_length", "texts", "lost", "ends"),
    [
        (
            "score",
            ["people water long", " little very after", " words called"],
            0,
            {EndReason.STEP_LENGTH, EndReason.DELIMITER},
        ),
        ("continue", [LONG.strip()], 0, {EndReason.DELIMITER}),
        ("drop", [], 4, set[EndReason]()),
    ],
)
@pytest.mark.parametrize("scorer", [LogProb(), CallableScorer(by_length_soon)], ids=["local", "remote"])
async def test_a_step_that_is_too_long_is_what_was_asked_for(
    scorer: Any, on_length: str, texts: list[str], lost: int, ends: set[EndReason]
) -> None:
    async with FakeServer(model=ScriptedModel(LONG)) as running, AsyncPolicyClient(running.base_url, "tiny") as client:
        length = len(await client.tokenize("people water long"))
        sampling = SamplingParams(max_new_tokens=length)
        options: dict[str, Any] = {"on_length": on_length, "sampling": sampling, "width": 4, "seed": None}
        journal = MemoryJournal()
        result = await search(client, BestOfN(), scorer, **options).run(QUESTION, record=Record(0, journal))
        found = [node.text for node in result.tree][1:]
        assert found[: len(texts)] == texts
        assert (result.lost, result.samples >= 4) == (lost, True)
        assert {node.branch.end for node in list(result.tree)[1 : len(texts) + 1] if node.branch} == ends
        if on_length == "continue":
            step = result.tree.level(1)[0]
            assert step.prefix.step_text == LONG
            assert (step.multiplicity, step.score is not None) == (4, True)
        if on_length == "drop":
            reasons = [
                step.failed for entry in journal.entries if isinstance(entry, StepsEntry) for step in entry.steps
            ]
            assert reasons == ["as long as a step may be"] * 4


async def test_a_step_that_a_watcher_refuses_is_stopped_and_counted(client: AsyncPolicyClient) -> None:
    seen: list[str] = []

    def watch(node: Node, text: str) -> bool:
        seen.append(text)
        return "Wait" not in text

    model = ScriptedModel(["Take 5.\n\n", "Wait a bit for all the others to come here.\n\n"])
    async with FakeServer(model=model) as running, AsyncPolicyClient(running.base_url, "tiny") as watched:
        journal = MemoryJournal()
        result = await search(watched, BestOfN(), watch=watch, width=2, depth=1, seed=None).run(
            QUESTION, record=Record(0, journal)
        )
        assert [node.text for node in result.tree][1:] == ["Take 5."]
        assert (result.lost, result.samples) == (1, 2)
        assert not any("others" in text for text in seen)
        again = await search(watched, BestOfN(), watch=watch, width=2, depth=1, seed=None).run(
            QUESTION, record=Record(0, MemoryJournal(), journal.paid.question(0))
        )
        assert shape(again) == shape(result)


@pytest.mark.parametrize(
    ("budget", "why"),
    [({"tokens": 30}, "tokens"), ({"expands": 2}, "expands"), ({"kv_byte_seconds": 1e-12}, "kv_byte_seconds")],
)
@pytest.mark.parametrize("barrier", ["level", "none"])
async def test_a_search_whose_budget_is_used_up_ends_with_what_it_has(
    client: AsyncPolicyClient, budget: dict[str, Any], why: str, barrier: str
) -> None:
    wanted: dict[str, Any] = {"budget": Budget(**budget), "kv_bytes_per_token": 100.0, "barrier": barrier}
    result = await search(client, **wanted).run(QUESTION)
    assert (result.why, result.is_complete) == (why, False)
    assert 1 < len(result.tree) < len((await search(client).run(QUESTION)).tree)


async def test_a_path_ends_at_the_length_that_the_options_give(client: AsyncPolicyClient) -> None:
    result = await search(client, BestOfN(), max_path_tokens=20, depth=20).run(QUESTION)
    root = len(result.tree.root.prefix)
    for node in result.tree:
        assert node.parent is None or len(node.parent.prefix) - root < 20
    assert any(node.state == "spent" for node in result.tree)


@pytest.mark.parametrize("after", [300, 1400])
async def test_what_a_broken_stream_has_not_brought_is_asked_for_again(after: int) -> None:
    model = ScriptedModel(["Take 5.\n\n", "Wait " * 20 + "\n\n"])
    options = FakeOptions(incremental_streaming_output=True)
    async with (
        FakeServer(options, model=model) as running,
        AsyncPolicyClient(running.base_url, "tiny") as client,
    ):
        await client.warm(await client.root(QUESTION.problem))
        running.faults.on(Reset(after=after), times=1)
        journal = MemoryJournal()
        result = await search(client, BestOfN(), CallableScorer(by_length_soon), width=2, depth=1, seed=None).run(
            QUESTION, record=Record(0, journal)
        )
        assert result.samples == 2
        assert result.why == "depth"


async def test_a_scorer_that_fails_ends_its_question_with_the_reason(client: AsyncPolicyClient) -> None:
    def fail(paths: Sequence[ScoredPath]) -> list[float]:
        raise ValueError("no GPU")

    result = await search(client, scorer=CallableScorer(fail)).run(QUESTION)
    assert (result.why, len(result.tree)) == ("error: no GPU", 1)


async def test_a_vote_that_fails_ends_its_question_alone() -> None:
    class Odd(LogProb):
        def weight(self, step_scores: Sequence[float]) -> float:
            raise ZeroDivisionError(f"no weight of {len(step_scores)} scores")

    async with (
        FakeServer(model=arithmetic("12", "7")) as running,
        AsyncPolicyClient(running.base_url, "tiny") as client,
    ):
        found = await search_all(search(client, BestOfN(), Odd(), width=2, seed=None), [QUESTION, QUESTION], at_once=1)
    assert [result.why for result in found.results.values()] == ["error: no weight of 3 scores"] * 2
    assert all(result.answer is None and result.tree.answered() for result in found.results.values())


async def test_a_scorer_with_too_few_outcomes_is_named(client: AsyncPolicyClient) -> None:
    result = await search(client, scorer=CallableScorer(lambda paths: [], name="empty")).run(QUESTION)
    assert "'empty' gave 0 outcomes for " in result.why


async def test_a_method_that_expands_what_has_ended_is_refused(client: AsyncPolicyClient) -> None:
    class Odd:
        name = "odd"

        def decide(self, view: TreeView) -> Decision:
            return Decision({99: 1})

    with pytest.raises(ConfigurationError, match="'odd' gave 1 children to node 99, which is no node"):
        await search(client, Odd()).run(QUESTION)


async def test_a_cancelled_search_leaves_nothing_on_the_server(client: AsyncPolicyClient, server: FakeServer) -> None:
    server.faults.on(Reset(after=None), nth=range(50, 60))
    task = asyncio.create_task(search(client, scorer=CallableScorer(by_length_soon), depth=20, width=32).run(QUESTION))
    await eventually(lambda: client.stats.samples_in_flight > 0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert client.stats.in_flight == 0


async def test_seeds_follow_question_node_and_place(client: AsyncPolicyClient) -> None:
    first, second = await search(client).run(QUESTION, 0), await search(client).run(QUESTION, 1)
    assert [node.text for node in first.tree] != [node.text for node in second.tree]
