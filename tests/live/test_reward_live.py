"""Scores of a reward head against transformers on the same weights."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ets_client import AsyncPolicyClient, ConfigurationError, RewardScore, ScoreFailure

from .engine import run_on_engine

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.live

TEXTS = ("Step one is right.", "Step two is wrong, though it is longer.\n\n", "x")


async def test_scores_are_those_of_transformers(live_reward_endpoint: Path) -> None:
    async with AsyncPolicyClient.from_endpoint(live_reward_endpoint) as client:
        prefixes = [await client.prefix(text, namespace="tree") for text in TEXTS]
        too_long = prefixes[0].child([5] * 2040, "x" * 2040)
        *scores, failure = await client.reward_scores([*prefixes, too_long])
        path = client.capabilities.model_path
    prompts = json.dumps([prefix.token_ids for prefix in prefixes])
    rows = json.loads(run_on_engine("reference_logprobs.py", path, "reward", stdin=prompts))
    for score, (expected,) in zip(scores, rows, strict=True):
        assert isinstance(score, RewardScore)
        assert score.value == pytest.approx(expected, abs=1e-2)
    assert isinstance(failure, ScoreFailure)


async def test_calls_that_would_kill_a_server_of_a_reward_model_are_not_sent(live_reward_endpoint: Path) -> None:
    async with AsyncPolicyClient.from_endpoint(live_reward_endpoint) as client:
        root = await client.prefix("Once upon a time")
        for call in (client.expand(root), client.generate(root), client.warm(root), client.label_probs([root], [5])):
            with pytest.raises(ConfigurationError, match="generates no text"):
                await call
        with pytest.raises(ConfigurationError, match="generates no text"):
            async with client.stream(root):
                pass
        assert await client.health()


async def test_a_policy_has_no_reward_head(live_endpoint: Path) -> None:
    async with AsyncPolicyClient.from_endpoint(live_endpoint) as client:
        with pytest.raises(ConfigurationError, match="LlamaForCausalLM"):
            await client.reward_scores([await client.prefix("Once upon a time")])
