"""its_hub's own algorithms on the fake server."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from its_hub import AdaptiveSelfConsistency, BestOfN, SelfConsistency
from its_hub.core.algorithms.beam_search import BeamSearch
from its_hub.core.algorithms.particle_gibbs import EntropicParticleFiltering, ParticleFiltering, ParticleGibbs
from its_hub.core.orchestrator import LMOrchestrator

from ets_client.adapters.its_hub import OutcomeReward, PolicyLanguageModel, PolicyOrchestrator, ProcessReward
from ets_client.search import least_prefill
from tests.adapters.its_hub_rig import QUESTION, STOP, Counted, asked, by_length, scripted, steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from its_hub.core.lms.step_generation import StepGeneration

    from ets_client import AsyncPolicyClient, PolicyClient
    from ets_client.testing import FakeServer

STEPWISE: dict[str, Callable[[StepGeneration, ProcessReward], Any]] = {
    "BeamSearch": lambda generation, reward: BeamSearch(generation, reward, beam_width=2),
    "ParticleFiltering": ParticleFiltering,
    "EntropicParticleFiltering": EntropicParticleFiltering,
    "ParticleGibbs": lambda generation, reward: ParticleGibbs(generation, reward, num_iterations=2),
}


@pytest.mark.parametrize("keeps_stop", [False, True])
@pytest.mark.parametrize("name", STEPWISE)
async def test_a_stepwise_algorithm_prefills_the_least(
    server: FakeServer, client: AsyncPolicyClient, name: str, *, keeps_stop: bool
) -> None:
    model, counted = PolicyLanguageModel(client), Counted(server)
    algorithm = STEPWISE[name](steps(keeps_stop=keeps_stop), ProcessReward(model, by_length))
    result = await algorithm.ainfer(model, QUESTION, budget=8, return_response_only=False)
    root = await client.root(QUESTION)
    assert counted["prefill_compute"] == least_prefill(root, [], counted["finished"])
    assert counted["finished"] >= 3 * 8
    path = await model.scored_path(asked(result.the_one["content"]))
    assert path.prefix.root == root
    assert path.prefix.depth > 1
    # The text alone would not do: its tokens are others than those that the model wrote and the server holds.
    assert await client.tokenize(path.prefix.text[len(root.text) :]) != path.prefix.token_ids[len(root) :]


@pytest.mark.parametrize("keeps_stop", [False, True])
async def test_steps_of_one_beam_share_a_post(
    server: FakeServer, client: AsyncPolicyClient, *, keeps_stop: bool
) -> None:
    model = PolicyLanguageModel(client)
    await client.warm(await client.root(QUESTION))
    counted = Counted(server)
    algorithm = BeamSearch(steps(keeps_stop=keeps_stop), ProcessReward(model, by_length), beam_width=1)
    await algorithm.ainfer(model, QUESTION, budget=8)
    assert counted["finished"] == 8 * 7  # its_hub's max_steps is one less than its steps
    assert counted.posts == 7


@pytest.mark.parametrize(("orchestrator", "posts"), [(PolicyOrchestrator(), 2), (LMOrchestrator(), 8), (None, 8)])
async def test_whole_responses_prefill_the_least(
    server: FakeServer, client: AsyncPolicyClient, orchestrator: Any, posts: int
) -> None:
    model, counted = PolicyLanguageModel(client), Counted(server)
    algorithm = BestOfN(OutcomeReward(model, by_length), orchestrator)
    result: Any = await algorithm.ainfer(model, QUESTION, budget=8, return_response_only=False)
    root = await client.root(QUESTION)
    assert counted["prefill_compute"] == least_prefill(root, [], 8)
    assert (counted["finished"], counted.posts) == (8, posts)
    assert result.scores[result.selected_index] == max(result.scores)
    assert result.usage.completion_tokens == counted["generated"]
    assert (result.usage.num_calls, result.usage.prompt_tokens) == (8, 8 * len(root))
    # No step ends a whole response, but the path's length does.
    path = await model.scored_path(asked(result.the_one["content"]))
    assert len(path.branch.token_ids) == client.profile.steps.max_path_tokens
    assert STOP in path.branch.text


async def test_the_majority_is_found() -> None:
    async with scripted(["so 12", "so 7", "so 12"]) as (_, client):
        model = PolicyLanguageModel(client)
        for kind in (SelfConsistency, AdaptiveSelfConsistency):
            algorithm = kind(
                consistency_space_projection_func=lambda text: text[-2:], orchestrator=PolicyOrchestrator()
            )
            assert await algorithm.ainfer(model, QUESTION, budget=6) == {"role": "assistant", "content": "so 12"}
    assert await PolicyOrchestrator().agenerate(model, []) == []


def test_infer_makes_loops_of_its_own_and_one_client_serves_them_all(
    threaded: tuple[FakeServer, PolicyClient],
) -> None:
    server, client = threaded
    model, counted = PolicyLanguageModel(client), Counted(server)
    beam = BeamSearch(steps(keeps_stop=False), ProcessReward(model, by_length), beam_width=2)
    best: Any = beam.infer(model, QUESTION, budget=4)
    again: Any = BestOfN(OutcomeReward(model, by_length)).infer(model, QUESTION, budget=4)
    assert best["content"]
    assert again["content"]
    root = client.root(QUESTION)
    assert counted["prefill_compute"] == least_prefill(root, [], counted["finished"])


def test_more_calls_than_its_hub_lets_run_at_once_do_not_wait_for_each_other(
    threaded: tuple[FakeServer, PolicyClient],
) -> None:
    # Its orchestrator blocks the loop's own threads with those that wait; ours are others.
    _, client = threaded
    algorithm = SelfConsistency(orchestrator=LMOrchestrator(max_concurrency=4))
    result: Any = algorithm.infer(PolicyLanguageModel(client), QUESTION, budget=48, return_response_only=False)
    assert len(result.responses) == 48


def test_the_error_of_a_missing_package_names_the_extra() -> None:
    code = "import sys; sys.modules['its_hub'] = None\nimport ets_client.adapters.its_hub"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert 'ImportError: its_hub is missing: pip install "ets-client[its-hub]"' in done.stderr
