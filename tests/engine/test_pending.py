"""Calls and streams under way."""

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from ets_client._core.limits import StepLimit
from ets_client._engine.fan_out import at_their_ends
from ets_client._engine.pending import PendingCalls
from ets_client.errors import PrunedError
from ets_client.prefix import Origin, Prefix

if TYPE_CHECKING:
    from ets_client._engine.streaming import SampleStream


class Stream:
    """A stream of which only its end counts."""

    def __init__(self) -> None:
        self.is_over = False
        self.why: Exception | None = None

    async def aclose(self, why: Exception | None = None) -> None:
        self.is_over, self.why = True, why


def add(pending: PendingCalls, prefix: Prefix) -> Stream:
    stream = Stream()
    pending.add(prefix, cast("SampleStream", stream))
    return stream


async def test_streams_that_have_ended_are_forgotten_without_looking_at_all_for_each_new_one() -> None:
    pending, prefix = PendingCalls(), Prefix((1, 2, 3), "abc", origin=Origin("tiny"))
    open_ones = [add(pending, prefix) for _ in range(100)]
    for _ in range(10_000):
        add(pending, prefix).is_over = True
    assert len(pending._streams) <= 2 * len(open_ones) + 1
    await pending.prune("", [prefix], [])
    assert all(isinstance(stream.why, PrunedError) for stream in open_ones)


async def test_a_call_that_is_pruned_before_it_is_sent_ends_at_once() -> None:
    pending, prefix = PendingCalls(), Prefix((1, 2, 3), "abc", origin=Origin("tiny"))
    entered = asyncio.Event()

    async def wait() -> None:
        with pending.call(prefix):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await entered.wait()
    await pending.prune("", [prefix], [])
    with pytest.raises(PrunedError):
        await task


def test_samples_that_share_their_sampling_share_it_as_a_stream_too() -> None:
    alike, other = {"max_new_tokens": 4}, {"max_new_tokens": 4, "sampling_seed": 7}
    first, second, third = at_their_ends([alike, alike, other], StepLimit(4, "step"))
    assert first is second
    assert first == {"max_new_tokens": 4, "stream_interval": 5}
    assert third == {"max_new_tokens": 4, "sampling_seed": 7, "stream_interval": 5}
