"""Other people's algorithms on the real server: what they make it prefill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import treequest
from its_hub import BestOfN
from its_hub.core.algorithms.beam_search import BeamSearch
from its_hub.core.algorithms.particle_gibbs import ParticleGibbs
from its_hub.core.lms.step_generation import StepGeneration

from ets_client import AsyncPolicyClient, SamplingParams, ScoreFailure
from ets_client.adapters.its_hub import OutcomeReward, PolicyLanguageModel, PolicyOrchestrator, ProcessReward
from ets_client.adapters.treequest import TreeQuestSearch
from ets_client.search import least_prefill
from ets_client.search.scorers import PathScore, ScoredPath

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ets_client import Prefix

pytestmark = pytest.mark.live

QUESTION = "How many legs have 3 cats, 2 dogs and 7 hens together, when one of the dogs has lost a leg? " * 4
# What is prefilled depends on neither; a search whose best path has ended asks for nothing more, and a model of random
# weights ends one by chance.
SHORT = SamplingParams(max_new_tokens=8, ignore_eos=True)


async def by_length(paths: Sequence[ScoredPath]) -> list[PathScore | ScoreFailure]:
    return [PathScore(1 / (1 + len(path.prefix) % 17)) for path in paths]


@pytest.mark.parametrize("make", [treequest.ABMCTSA, treequest.StandardMCTS, treequest.TreeOfThoughtsBFSAlgo])
async def test_treequest_prefills_hardly_more_than_the_least(live_endpoint: Path, make: Callable[[], Any]) -> None:
    algorithm = make()
    async with AsyncPolicyClient.from_endpoint(live_endpoint, sampling=SHORT) as client:
        await client.flush_cache()
        root, before = await client.root(QUESTION), await client.metrics()
        growth = await TreeQuestSearch(client, by_length).grow(algorithm, algorithm.init_tree(), QUESTION, trials=40)
        counted = (await client.metrics()).since(before)
    assert (growth.trials, growth.failures) == (40, ())
    least = least_prefill(root, [], 40 - growth.repeats)
    assert least <= counted.prefilled_tokens <= 1.02 * least


STEPWISE: dict[str, Callable[[StepGeneration, ProcessReward], Any]] = {
    "BeamSearch": lambda generation, reward: BeamSearch(generation, reward, beam_width=4),
    "ParticleGibbs": lambda generation, reward: ParticleGibbs(generation, reward, num_iterations=2),
}


@pytest.mark.parametrize("name", STEPWISE)
async def test_its_hub_prefills_hardly_more_than_the_least(
    live_endpoint: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampled: list[Prefix] = []
    expand = AsyncPolicyClient.expand

    async def counting(client: AsyncPolicyClient, *args: Any, **options: Any) -> Any:
        branches = await expand(client, *args, **options)
        sampled.extend(branch.prefix for branch in branches)
        return branches

    monkeypatch.setattr(AsyncPolicyClient, "expand", counting)
    steps = StepGeneration(max_steps=6, step_token=["\n\n", "\n", "."], include_stop_str_in_output=True)
    async with AsyncPolicyClient.from_endpoint(live_endpoint, sampling=SHORT) as client:
        await client.flush_cache()
        model = PolicyLanguageModel(client)
        root, before = await client.root(QUESTION), await client.metrics()
        algorithm = STEPWISE[name](steps, ProcessReward(model, by_length))
        result = await algorithm.ainfer(model, QUESTION, budget=16, return_response_only=False)
        counted = (await client.metrics()).since(before)
        path = await model.scored_path([{"role": "user", "content": QUESTION}, result.the_one])
        assert path.prefix.root == root
        assert path.prefix in sampled  # by its ids
        again = [await client.tokenize(each.text[len(root.text) :]) for each in sampled]
        assert again != [each.token_ids[len(root) :] for each in sampled]  # the text alone would not do
    assert len(sampled) > 3 * 16
    least = least_prefill(root, [], len(sampled))
    assert least <= counted.prefilled_tokens <= 1.02 * least


async def test_a_batch_of_whole_responses_prefills_hardly_more_than_the_least(live_endpoint: Path) -> None:
    async with AsyncPolicyClient.from_endpoint(live_endpoint, sampling=SHORT) as client:
        await client.flush_cache()
        model = PolicyLanguageModel(client)
        root, before = await client.root(QUESTION), await client.metrics()
        algorithm = BestOfN(OutcomeReward(model, by_length), PolicyOrchestrator())
        result: Any = await algorithm.ainfer(model, QUESTION, budget=8, return_response_only=False)
        counted = (await client.metrics()).since(before)
    assert len(result.responses) == 8
    least = least_prefill(root, [], 8)
    assert least <= counted.prefilled_tokens <= 1.02 * least
