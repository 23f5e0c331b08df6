"""Scorers as its_hub's rewards."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from ets_client import AsyncPolicyClient, EtsClientError, PolicyClient, Prefix, ScoreFailure
from ets_client.adapters.its_hub import OutcomeReward, PolicyLanguageModel, ProcessReward
from ets_client.search.scorers import PathScore, ScoredPath
from tests.adapters.its_hub_rig import QUESTION, STOP, asked, by_length, scripted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ets_client.testing import FakeServer


async def test_a_process_reward_sees_the_steps_and_each_path_once() -> None:
    seen: list[ScoredPath] = []

    async def score(paths: Sequence[ScoredPath]) -> list[PathScore | ScoreFailure]:
        seen.extend(paths)
        return [PathScore(-float(len(path.prefix))) for path in paths]

    async with scripted("It is 2 + 2\n\nis 4\n\n") as (_, client):
        model = PolicyLanguageModel(client, logprobs=True)
        reward = ProcessReward(model, score, scale=lambda value: 1 / (1 + math.exp(-value)))
        await model.agenerate(asked(), stop=STOP)
        await model.agenerate(asked("It is 2 + 2\n\n"), stop=STOP)
        response = "It is 2 + 2\n\nis 4"
        scores = await reward.ascore(QUESTION, [response, "It is 2 + 2", response])
        assert await reward.ascore(asked(), []) == []
    assert [[each.step_text for each in path.prefix.path[1:]] for path in seen] == [
        ["It is 2 + 2\n\n", "is 4\n\n"],
        ["It is 2 + 2\n\n"],
    ]
    assert seen[0].problem == QUESTION
    assert seen[0].branch.logprobs is not None
    assert scores == [1 / (1 + math.exp(len(seen[place].prefix))) for place in (0, 1, 0)]


async def test_a_missing_score_is_an_error_or_what_was_said(client: AsyncPolicyClient) -> None:
    async def broken(paths: Sequence[ScoredPath]) -> list[PathScore | ScoreFailure]:
        return [ScoreFailure("too long") for _ in paths]

    model = PolicyLanguageModel(client)
    with pytest.raises(EtsClientError, match="could not be scored: too long"):
        await ProcessReward(model, broken).ascore(QUESTION, ["2 + 2"])
    assert await ProcessReward(model, broken, missing=0.0).ascore(QUESTION, ["2 + 2"]) == [0.0]


async def test_an_outcome_reward_takes_one_conversation_or_many(client: AsyncPolicyClient) -> None:
    prefixes: list[Prefix] = []

    async def score(paths: Sequence[ScoredPath]) -> list[PathScore | ScoreFailure]:
        prefixes.extend(path.prefix for path in paths)
        return [PathScore(float(len(path.branch.text))) for path in paths]

    reward = OutcomeReward(PolicyLanguageModel(client), score)
    assert await reward.ascore([asked("four"), asked("4"), asked("four")]) == [4.0, 1.0, 4.0]
    assert await reward.ascore(asked("4")) == 1.0
    assert [prefix.step_text for prefix in prefixes] == ["four", "4", "4"]


def test_rewards_are_scored_where_no_loop_runs(threaded: tuple[FakeServer, PolicyClient]) -> None:
    model = PolicyLanguageModel(threaded[1])
    assert ProcessReward(model, by_length).score(QUESTION, ["2 + 2", "2 + 2"])[0] > 0
    outcome = OutcomeReward(model, by_length)
    assert [outcome.score(asked("4"))] == outcome.score([asked("4")])
