from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from ets_client import DeadlineExceededError, RewardScore, ScoreFailure
from ets_client._engine.deadline import Deadline
from ets_client._engine.reward import Rewards
from tests.fakes import Clock, Rig, eventually, never, reply, root

if TYPE_CHECKING:
    from ets_client._transport.base import HttpReply, HttpRequest
    from tests.fakes import Entry

FOREVER = Deadline(None, 0.0)
SHORT, LONG = root([1, 2, 3]), root(range(10))


async def judge(request: HttpRequest) -> HttpReply:
    """The head adds up the ids; a prompt that begins with 9 gives no number."""
    prompts = json.loads(request.body)["input_ids"]
    return reply([{"embedding": [None if ids[0] == 9 else float(sum(ids))], "meta_info": {}} for ids in prompts])


def rewards_of(*script: Entry) -> tuple[Rewards, Rig]:
    rig = Rig(*script)
    return Rewards(rig.caller, max_input_tokens=10), rig


async def test_outcomes_are_in_the_order_of_the_prefixes_and_too_long_ones_are_not_sent() -> None:
    rewards, rig = rewards_of(judge)
    outcomes = await rewards.scores([LONG, SHORT, root([9]), root(range(9))], FOREVER)
    assert outcomes == [
        ScoreFailure("10 tokens; this server takes at most 9"),
        RewardScore((6.0,)),
        ScoreFailure("the server gave no numbers"),
        RewardScore((36.0,)),
    ]
    assert rig.transport.body()["input_ids"] == [SHORT.token_ids, [9], list(range(9))]
    assert len(set(rig.transport.body()["rid"])) == 3


@pytest.mark.parametrize("count", [0, 1, 2])
async def test_without_a_prefix_that_fits_nothing_is_sent(count: int) -> None:
    rewards, rig = rewards_of()
    assert [type(each) for each in await rewards.scores([LONG] * count, FOREVER)] == [ScoreFailure] * count
    assert rig.transport.requests == []


async def test_the_deadline_is_kept() -> None:
    rewards, rig = rewards_of(never)
    clock = Clock()
    asking = asyncio.create_task(rewards.scores([SHORT], Deadline.after(30)))
    await clock.jump(30, when=lambda: len(rig.transport.requests) == 1)
    with pytest.raises(DeadlineExceededError, match="within 30 s"):
        await asking


async def test_cancelling_aborts_every_prompt() -> None:
    rewards, rig = rewards_of(never)
    asking = asyncio.create_task(rewards.scores([SHORT, SHORT], FOREVER))
    await eventually(lambda: len(rig.transport.requests) == 1)
    asking.cancel()
    await asyncio.wait([asking])
    await rig.caller.aclose()
    assert rig.transport.aborted == rig.transport.body()["rid"]
