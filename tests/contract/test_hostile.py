"""Whatever is given to the public API, a call ends in a result or in an error of ours, and the server survives."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from ets_client import AsyncPolicyClient, EtsClientError, Prefix, RetryPolicy, SamplingParams
from ets_client.testing import FakeOptions, FakeServer, Version

from .hostile import HostileCall, hostile_calls

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::ets_client.SeedIgnoredWarning")
NUMBER = 1000
AT_ONCE = 16
SECONDS = 30.0
# Not among them: a server that is gone or that failed.
EXPECTED = {
    "result",
    "InvalidRequestError",
    "ConfigurationError",
    "RequestRejectedError",
    "DeadlineExceededError",
    "TypeError",
}


async def carry_out(client: AsyncPolicyClient, call: HostileCall) -> str:
    """Make one call.

    Returns:
        The name of its outcome.

    Raises:
        AssertionError: it ended in something else, or not in time.
    """
    try:
        async with asyncio.timeout(SECONDS):
            await _make(client, call)
    except EtsClientError as error:
        return type(error).__name__ if str(error) else "no words"
    except TypeError as error:
        if call.is_misshapen and "argument" in str(error):
            return "TypeError"
        raise AssertionError(call) from error
    except Exception as error:
        raise AssertionError(call) from error
    return "result"


async def _make(client: AsyncPolicyClient, call: HostileCall) -> None:
    named = dict(call.named)
    if call.sampling is not None:
        named["sampling"] = SamplingParams(**call.sampling)
    made: Any = getattr(client, call.method)(*call.arguments, **named)
    if call.method not in {"stream", "expand_iter"}:
        await made
        return
    async with made as stream:
        parts = 0
        async for _ in stream:
            if parts == call.leaves:
                break
            parts += 1


async def attack(client: AsyncPolicyClient, seed: int) -> Counter[str]:
    """Make many calls, several at a time, and see that the server is well afterwards and has nothing left to do."""
    root = await client.prefix("Where it all begins")
    prefixes: list[Prefix] = [root, root.child((5, 6, 7), "abc"), await client.prefix([5] * 100, namespace="other")]
    calls = hostile_calls(Random(seed), NUMBER, prefixes)
    outcomes = Counter[str]()
    for start in range(0, NUMBER, AT_ONCE):
        together = calls[start : start + AT_ONCE]
        outcomes.update(await asyncio.gather(*(carry_out(client, each) for each in together)))
    await client.flush_cache(wait=30)  # refused while anything runs or waits
    assert [(load.running_requests, load.waiting_requests) for load in await client.loads()] == [(0, 0)]
    assert await client.health()
    return outcomes


@pytest.mark.parametrize("version", ["0.5.14", "0.5.18", "0.5.23"])
async def test_hostile_calls_end_in_a_result_or_in_our_error(version: Version) -> None:
    options = FakeOptions(version=version, health_seconds=0.01)
    async with FakeServer(options) as server:
        async with AsyncPolicyClient(server.base_url, "tiny", timeout=20, retry=RetryPolicy(attempts=1)) as client:
            outcomes = await attack(client, 1)
        assert outcomes.keys() <= EXPECTED
        assert server.died is None
        assert server.registered_rids == frozenset()


@pytest.mark.live
async def test_hostile_calls_leave_the_real_server_alive(live_endpoint: Path) -> None:
    async with AsyncPolicyClient.from_endpoint(live_endpoint, timeout=20, retry=RetryPolicy(attempts=1)) as client:
        outcomes = await attack(client, 2)
    assert outcomes.keys() <= EXPECTED
