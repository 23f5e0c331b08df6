from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ets_client import (
    AsyncPolicyClient,
    Branch,
    DeadlineExceededError,
    RequestError,
    RequestRejectedError,
    SamplingParams,
    ServerBusyError,
    ServerFaultError,
    ServerUnreachableError,
)
from ets_client.testing import FakeOptions, FakeServer, FaultPlan, Garbage, QueueFull, Reset, ServerError, Version
from tests.fakes import Clock, eventually
from tests.stream_site import ENDLESS, QUICK, VERSIONS, all_of, site


class TestFailures:
    @pytest.mark.parametrize("version", VERSIONS)
    async def test_a_bad_value_is_the_same_error_as_without_a_stream(self, version: Version) -> None:
        async with (
            FakeServer(FakeOptions(version=version)) as server,
            AsyncPolicyClient(server.base_url) as client,  # without a profile nobody here knows the vocabulary
        ):
            beyond = SamplingParams(logit_bias={999_999: 1.0})
            with pytest.raises(RequestRejectedError, match="logit_bias") as without:
                await client.expand("q", 1, beyond)
            with pytest.raises(RequestRejectedError, match="logit_bias") as within:
                await all_of(client.expand_iter("q", 1, beyond))
        assert (within.value.status, within.value.message) == (without.value.status, without.value.message)

    @pytest.mark.parametrize("version", VERSIONS)
    async def test_a_queue_that_fills_in_the_stream_is_an_error_and_stops_the_others(self, version: Version) -> None:
        async with site(version=version, max_running_requests=1, max_queued_requests=2) as here:
            root = await here.client.prefix("q")
            await here.clock.run(here.client.warm(root))
            with pytest.raises(ServerBusyError, match="queue is full") as caught:
                await here.clock.run(all_of(here.client.expand_iter(root, 8, ENDLESS)))
            assert caught.value.status == 503
            assert len(caught.value.rids) == 1
            await eventually(lambda: here.aborts >= 1)
            await here.settled()

    async def test_a_full_queue_before_the_stream_is_tried_again(self) -> None:
        async with site(FaultPlan().on(QueueFull(), nth=(1, 2))) as here:
            async with here.client.stream("q", ENDLESS) as stream:
                assert (await here.clock.run(anext(aiter(stream)))).token_ids
            assert here.server.count("/generate") == 3

    @pytest.mark.parametrize("size", [200, 400, 900])
    async def test_a_stream_that_breaks_is_a_lost_server_until_it_answers_a_probe(self, size: int) -> None:
        async with site() as here:
            root = await here.client.prefix("q")
            await here.clock.run(here.client.warm(root))
            here.server.faults.on(Reset(after=size), times=1)
            with pytest.raises(ServerUnreachableError, match="in the middle of a stream"):
                await here.clock.run(all_of(here.client.expand_iter(root, 2, SamplingParams(max_new_tokens=4))))
            assert here.client.stats.server == "down"
            assert len(await here.clock.run(here.client.expand(root, 2))) == 2
            assert here.client.stats.server == "up"
            assert ", 0 warm tokens" not in repr(here.client)  # nothing was forgotten

    async def test_a_server_that_dies_in_the_middle_is_a_lost_server(self) -> None:
        async with site() as here, here.client.stream("q", ENDLESS) as stream:
            async with asyncio.timeout(5):
                await anext(aiter(stream))  # the first token, while the server's time stands still
            await here.server.kill()
            with pytest.raises(ServerUnreachableError) as caught:
                async for _ in stream:  # what had come before
                    pass
            assert caught.value.rids == stream.rids

    @pytest.mark.parametrize(
        ("fault", "kind"), [(ServerError(), ServerFaultError), (Garbage(), ServerUnreachableError)]
    )
    async def test_what_is_not_a_stream_of_sglangs_is_an_error(self, fault: Any, kind: type[RequestError]) -> None:
        async with (
            FakeServer(faults=FaultPlan().on(fault)) as server,
            AsyncPolicyClient(server.base_url, "tiny", retry=QUICK) as client,
        ):
            with pytest.raises(kind):
                await all_of(client.expand_iter("q", 1))

    @pytest.mark.parametrize("version", VERSIONS)
    async def test_the_deadline_covers_the_whole_stream_and_stops_it(self, version: Version) -> None:
        async with site(version=version) as here:
            clock = Clock()
            late: asyncio.Task[list[Branch]] = asyncio.create_task(
                all_of(here.client.expand_iter([97], 3, ENDLESS, timeout=60))
            )
            # warm first, then the batch, whose samples wait for a time that does not come
            await clock.jump(60, when=lambda: len(here.server.scheduler.running) == 3)
            with pytest.raises(DeadlineExceededError, match="within 60 s") as caught:
                await late
            assert len(caught.value.rids) == 3
            await eventually(lambda: here.aborts == 3)
            await here.settled()
