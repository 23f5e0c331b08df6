"""TreeQuest's own algorithms on the fake server."""

from __future__ import annotations

import asyncio
import math
import pickle
import threading
from typing import TYPE_CHECKING, Any

import pytest
import treequest
from treequest.algos.best_first_search import BestFirstSearchAlgo

from ets_client import (
    AsyncPolicyClient,
    ConfigurationError,
    EndReason,
    InvalidRequestError,
    RequestError,
    RetryPolicy,
    SamplingParams,
    ScoreFailure,
    load_profile,
)
from ets_client.adapters.treequest import Growth, Step, TreeQuestSearch, TrialsFailedError
from ets_client.search import least_prefill
from ets_client.search.scorers import PathScore, ScoredPath
from ets_client.testing import FakeServer, FaultPlan, ScriptedModel, SeededModel, ServerError
from tests.fakes import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

QUESTION = "How many legs have 3 cats?"
NO_RETRY = RetryPolicy(attempts=1, first_wait=0.0, most_wait=0.0)
ALGORITHMS: dict[str, Callable[[], Any]] = {
    "StandardMCTS": treequest.StandardMCTS,
    "ABMCTSA": treequest.ABMCTSA,
    "ABMCTSA beta": lambda: treequest.ABMCTSA(dist_type="beta"),
    "TreeOfThoughtsBFS": treequest.TreeOfThoughtsBFSAlgo,
    "BestFirst": lambda: BestFirstSearchAlgo(num_samples=3),
}


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer() as running:
        yield running


async def by_length(paths: Sequence[ScoredPath]) -> list[PathScore | ScoreFailure]:
    """Short steps are good ones: a score that depends on the step alone."""
    return [PathScore(1 / (1 + len(path.branch.token_ids))) for path in paths]


def client_of(server: FakeServer, **options: Any) -> AsyncPolicyClient:
    return AsyncPolicyClient(server.base_url, "tiny", **options)


def finished(server: FakeServer) -> int:
    return server.scheduler.counts["finished"]


def nodes(growth: Growth[Any]) -> list[Any]:
    return [node for node in growth.tree.tree.get_nodes() if not node.is_root()]


@pytest.mark.parametrize("name", ALGORITHMS)
async def test_each_algorithm_grows_its_tree_at_the_least_prefill(server: FakeServer, name: str) -> None:
    algorithm = ALGORITHMS[name]()
    async with client_of(server) as client:
        before, sampled = server.scheduler.counts["prefill_compute"], finished(server)
        root = await client.root(QUESTION)
        growth = await TreeQuestSearch(client, by_length).grow(algorithm, algorithm.init_tree(), QUESTION, trials=50)
    samples = finished(server) - sampled
    assert growth.trials == len(nodes(growth)) == 50
    assert growth.repeats + samples == 50
    assert growth.usage.prompt_tokens - growth.usage.cached_tokens == least_prefill(root, [], samples)
    assert server.scheduler.counts["prefill_compute"] - before == least_prefill(root, [], samples)
    for node in nodes(growth):
        step: Step = node.state
        assert node.score == step.score
        if node.parent.is_root():
            assert step.branch.prefix.parent == root
        elif step.branch is not node.parent.state.branch:  # no path that was told again
            assert step.branch.prefix.parent is node.parent.state.branch.prefix
    best: list[tuple[Step, float]] = treequest.top_k(growth.tree, algorithm, k=1)
    assert best[0][0].score == best[0][1] == max(node.score for node in nodes(growth))


@pytest.mark.parametrize("name", ALGORITHMS)
async def test_a_tree_is_gone_on_with_after_it_was_pickled(server: FakeServer, name: str) -> None:
    algorithm = ALGORITHMS[name]()
    async with client_of(server) as client:
        search = TreeQuestSearch(client, by_length)
        growth = await search.grow(algorithm, algorithm.init_tree(), QUESTION, trials=7)
        tree = pickle.loads(pickle.dumps(growth.tree))
        later = await search.grow(algorithm, tree, QUESTION, trials=8)
    assert (later.trials, len(nodes(later)), len(nodes(growth))) == (8, 15, 7)


async def test_trials_with_the_same_parent_go_in_one_expand(server: FakeServer) -> None:
    algorithm: Any = treequest.StandardMCTS(samples_per_action=4)
    async with client_of(server) as client:
        await client.warm(await client.root(QUESTION))
        before, sampled = server.count("/generate"), finished(server)
        await TreeQuestSearch(client, by_length, batch=4).grow(algorithm, algorithm.init_tree(), QUESTION, trials=4)
    assert (server.count("/generate") - before, finished(server) - sampled) == (1, 4)


async def test_duplicates_that_fill_a_batch_are_not_sampled(server: FakeServer) -> None:
    algorithm: Any = treequest.StandardMCTS(samples_per_action=2)
    async with client_of(server) as client:
        sampled = finished(server)
        growth = await TreeQuestSearch(client, by_length, batch=9).grow(
            algorithm, algorithm.init_tree(), QUESTION, trials=20
        )
    assert finished(server) - sampled + growth.repeats == 20
    assert {trial.trial_status for trial in growth.tree.trial_store.finished_trials.values()} <= {"COMPLETE", "INVALID"}
    told = [each for each in growth.tree.trial_store.finished_trials.values() if each.trial_status == "COMPLETE"]
    assert len(told) == 20


async def test_actions_differ_in_their_sampling() -> None:
    algorithm: Any = treequest.ABMCTSA()
    lengths = {"short": 2, "long": 5}
    actions = {name: SamplingParams(max_new_tokens=length, stop=()) for name, length in lengths.items()}
    async with (
        FakeServer(model=SeededModel(line_end=0.0, text_end=0.0)) as server,
        client_of(server) as client,
    ):
        search = TreeQuestSearch(client, by_length, actions=actions)
        growth = await search.grow(algorithm, algorithm.init_tree(), QUESTION, trials=20)
    asked = growth.tree.trial_store.finished_trials
    assert {asked[node.trial_id].action for node in nodes(growth)} == set(lengths)
    for node in nodes(growth):
        assert len(node.state.branch.token_ids) == lengths[asked[node.trial_id].action]


@pytest.mark.parametrize(("repeat_score", "told"), [(0.0, 0.0), (0.25, 0.25), (None, 0.75)])
async def test_a_path_that_has_ended_is_told_again_and_costs_nothing(repeat_score: float | None, told: float) -> None:
    async def good(paths: Sequence[ScoredPath]) -> list[PathScore | ScoreFailure]:
        return [PathScore(0.75) for _ in paths]

    algorithm: Any = BestFirstSearchAlgo(num_samples=1)
    async with FakeServer(model=ScriptedModel("The answer is 12.")) as server, client_of(server) as client:
        sampled = finished(server)
        search = TreeQuestSearch(client, good, repeat_score=repeat_score)
        growth = await search.grow(algorithm, algorithm.init_tree(), QUESTION, trials=3)
        assert finished(server) - sampled == 1
    first, second, third = (node.state for node in nodes(growth))
    assert first.branch.end is EndReason.EOS
    assert first.branch is second.branch is third.branch
    assert [step.score for step in (first, second, third)] == [0.75, told, told]
    assert (growth.trials, growth.repeats) == (3, 2)


async def test_a_path_without_room_is_told_again() -> None:
    tiny = load_profile("tiny")
    profile = tiny.model_copy(update={"steps": tiny.steps.model_copy(update={"max_path_tokens": 8})})
    endless = SeededModel(line_end=0.0, text_end=0.0)
    # Whoever says how long a step is goes beyond the profile's path, where the others have no room.
    actions = {"long": SamplingParams(max_new_tokens=20), "step": None}
    algorithm: Any = BestFirstSearchAlgo(num_samples=1)
    async with FakeServer(model=endless) as server, AsyncPolicyClient(server.base_url, profile) as client:
        search = TreeQuestSearch(client, by_length, actions=actions)
        growth = await search.grow(algorithm, algorithm.init_tree(), QUESTION, trials=12)
    asked = growth.tree.trial_store.finished_trials
    behind_long = [
        node.state
        for node in nodes(growth)
        if asked[node.trial_id].action == "step"
        and not node.parent.is_root()
        and node.parent.state.branch.end is EndReason.STEP_LENGTH
    ]
    assert behind_long
    assert all((len(step.branch.token_ids), step.score) == (20, 0.0) for step in behind_long)


async def test_a_failed_sample_is_not_told_and_its_place_is_asked_for_again() -> None:
    faults = FaultPlan(seed=1).on(ServerError(), path="/generate", nth=3).on(ServerError(), path="/generate", nth=5)
    algorithm: Any = treequest.StandardMCTS()
    async with FakeServer(faults=faults) as server, client_of(server, retry=NO_RETRY, check_profile=False) as client:
        growth = await TreeQuestSearch(client, by_length).grow(algorithm, algorithm.init_tree(), QUESTION, trials=20)
    assert (growth.trials, len(nodes(growth))) == (20, 20)
    assert growth.failures
    assert all(isinstance(failure, RequestError) for failure in growth.failures)
    for node in growth.tree.tree.get_nodes():
        assert len(node.children) in (0, 2)  # no place was left out


@pytest.mark.parametrize("name", ALGORITHMS)
async def test_a_step_that_cannot_be_scored_is_not_told(server: FakeServer, name: str) -> None:
    seen = 0

    async def sometimes(paths: Sequence[ScoredPath]) -> list[PathScore | ScoreFailure]:
        nonlocal seen
        outcomes: list[PathScore | ScoreFailure] = []
        for path in paths:
            seen += 1
            fails = seen % 3 == 0
            outcomes.append(ScoreFailure("too long") if fails else PathScore(1 / len(path.branch.token_ids)))
        return outcomes

    algorithm = ALGORITHMS[name]()
    async with client_of(server) as client:
        growth = await TreeQuestSearch(client, sometimes).grow(algorithm, algorithm.init_tree(), QUESTION, trials=20)
    assert growth.trials == len(nodes(growth)) == 20
    assert set(growth.failures) == {ScoreFailure("too long")}


async def test_a_search_ends_when_only_failures_come(server: FakeServer) -> None:
    async def broken(paths: Sequence[ScoredPath]) -> list[PathScore | ScoreFailure]:
        return [ScoreFailure("no such label") for _ in paths]

    algorithm: Any = treequest.ABMCTSA()
    async with client_of(server) as client:
        with pytest.raises(TrialsFailedError, match="trials failed in a row, the last one: no such label") as failed:
            await TreeQuestSearch(client, broken, patience=7).grow(
                algorithm, algorithm.init_tree(), QUESTION, trials=20
            )
    assert 7 <= len(failed.value.failures) <= 7 + 5
    assert pickle.loads(pickle.dumps(failed.value)).failures == failed.value.failures


async def test_a_server_that_is_gone_ends_the_search_with_its_error(server: FakeServer) -> None:
    algorithm: Any = treequest.StandardMCTS()
    async with client_of(server, retry=NO_RETRY) as client:
        search = TreeQuestSearch(client, by_length, patience=2, timeout=5.0)
        root = await client.root(QUESTION)
        growth = await search.grow(algorithm, algorithm.init_tree(), QUESTION, trials=6, root=root)
        await server.kill()
        with pytest.raises(TrialsFailedError) as failed:
            await search.grow(algorithm, growth.tree, QUESTION, trials=6, root=root)
    assert isinstance(failed.value.__cause__, RequestError)
    assert len(nodes(growth)) == 6  # what was told stays


async def test_scores_are_brought_into_the_range_that_treequest_takes(server: FakeServer) -> None:
    async def likely(paths: Sequence[ScoredPath]) -> list[PathScore | ScoreFailure]:
        return [PathScore(path.branch.logprobs.mean) for path in paths if path.branch.logprobs is not None]

    algorithm: Any = treequest.ABMCTSA()
    async with client_of(server) as client:
        with pytest.raises(ConfigurationError, match=r"score is -\d.*give scale="):
            await TreeQuestSearch(client, likely, logprobs=True).grow(
                algorithm, algorithm.init_tree(), QUESTION, trials=2
            )
        growth = await TreeQuestSearch(client, likely, scale=math.exp, logprobs=True).grow(
            algorithm, algorithm.init_tree(), QUESTION, trials=5
        )
    for node in nodes(growth):
        assert node.score == math.exp(node.state.branch.logprobs.mean) or node.score == 0.0


async def test_a_tree_of_another_question_is_refused(server: FakeServer) -> None:
    algorithm: Any = treequest.StandardMCTS()
    async with client_of(server) as client:
        search = TreeQuestSearch(client, by_length)
        growth = await search.grow(algorithm, algorithm.init_tree(), QUESTION, trials=3)
        with pytest.raises(ConfigurationError, match="the tree has another root"):
            await search.grow(algorithm, growth.tree, "How many legs have 4 cats?", trials=3)


async def test_what_cannot_be_sent_is_an_error_and_no_failure(server: FakeServer) -> None:
    algorithm: Any = treequest.StandardMCTS()
    async with client_of(server) as client:
        search = TreeQuestSearch(client, by_length, actions={"step": SamplingParams(stop_token_ids=[999_999])})
        with pytest.raises(InvalidRequestError, match="stop_token_ids"):
            await search.grow(algorithm, algorithm.init_tree(), QUESTION, trials=3)
    wrong: list[dict[str, Any]] = [{"batch": 0}, {"patience": 0}, {"actions": {}}, {"repeat_score": 1.5}]
    for options in wrong:
        with pytest.raises(ConfigurationError):
            TreeQuestSearch(client, by_length, **options)


async def test_one_slow_trial_does_not_hold_the_others(server: FakeServer) -> None:
    release, is_held = asyncio.Event(), False

    async def slow_one(paths: Sequence[ScoredPath]) -> list[PathScore | ScoreFailure]:
        nonlocal is_held
        if is_held:
            release.set()
        elif len(paths) == 1:  # so that there is room for another
            is_held = True
            await release.wait()
        return [PathScore(0.5) for _ in paths]

    algorithm: Any = treequest.ABMCTSA()
    async with client_of(server) as client:
        async with asyncio.timeout(30):
            growth = await TreeQuestSearch(client, slow_one, batch=2).grow(
                algorithm,
                algorithm.init_tree(),
                QUESTION,
                trials=60,  # one of them is scored alone before the last
            )
    assert growth.trials == 60
    assert release.is_set()


async def test_the_loop_goes_on_while_an_algorithm_thinks(server: FakeServer) -> None:
    thinking, is_free = threading.Event(), threading.Event()

    class Thinker(treequest.ABMCTSA[Any]):
        def ask_batch(self, state: Any, batch_size: int, actions: list[str]) -> Any:
            thinking.set()
            assert is_free.wait(30)
            return super().ask_batch(state, batch_size, actions)

    algorithm: Any = Thinker()
    async with client_of(server) as client:
        growing = asyncio.create_task(
            TreeQuestSearch(client, by_length).grow(algorithm, algorithm.init_tree(), QUESTION, trials=5)
        )
        await eventually(thinking.is_set)
        is_free.set()  # by the loop, which would be held
        assert (await growing).trials == 5


async def test_a_cancelled_search_stops_its_samples_and_leaves_what_was_told(server: FakeServer) -> None:
    asked, scored = asyncio.Event(), 0

    async def stuck(paths: Sequence[ScoredPath]) -> list[PathScore | ScoreFailure]:
        nonlocal scored
        scored += 1
        if scored > 3:
            asked.set()
            await asyncio.Event().wait()
        return [PathScore(0.5) for _ in paths]

    algorithm: Any = treequest.StandardMCTS()
    async with client_of(server) as client:
        tree = algorithm.init_tree()
        growing = asyncio.create_task(TreeQuestSearch(client, stuck).grow(algorithm, tree, QUESTION, trials=100))
        await asyncio.wait_for(asked.wait(), 30)
        growing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await growing
        assert len(algorithm.get_state_score_pairs(tree)) >= 3
        await eventually(lambda: not server.scheduler.active)
        growth = await TreeQuestSearch(client, by_length).grow(algorithm, tree, QUESTION, trials=5)
    assert growth.trials == 5


async def test_a_search_that_is_cancelled_while_an_algorithm_thinks_waits_for_it(server: FakeServer) -> None:
    thinking, is_free, is_done = threading.Event(), threading.Event(), threading.Event()

    class Thinker(treequest.ABMCTSA[Any]):
        def ask_batch(self, state: Any, batch_size: int, actions: list[str]) -> Any:
            thinking.set()
            assert is_free.wait(30)
            is_done.set()
            return super().ask_batch(state, batch_size, actions)

    algorithm: Any = Thinker()
    async with client_of(server) as client:
        growing = asyncio.create_task(
            TreeQuestSearch(client, by_length).grow(algorithm, algorithm.init_tree(), QUESTION, trials=5)
        )
        await eventually(thinking.is_set)
        growing.cancel()
        is_free.set()
        with pytest.raises(asyncio.CancelledError):
            await growing
    assert is_done.is_set()


async def test_a_search_in_a_tree_ends_with_it(server: FakeServer) -> None:
    algorithm: Any = treequest.StandardMCTS()
    async with client_of(server) as client, client.tree("question 7") as tree:
        growth = await TreeQuestSearch(tree, by_length).grow(algorithm, algorithm.init_tree(), QUESTION, trials=4)
    assert growth.trials == 4


async def test_an_algorithm_that_asks_for_nothing_ends_the_search() -> None:
    class Idle(treequest.ABMCTSA[Any]):
        def ask_batch(self, state: Any, batch_size: int, actions: list[str]) -> Any:
            return state, []

    algorithm: Any = Idle()
    async with FakeServer() as server, client_of(server) as client:
        growth = await TreeQuestSearch(client, by_length).grow(algorithm, algorithm.init_tree(), QUESTION, trials=5)
    assert growth.trials == 0
