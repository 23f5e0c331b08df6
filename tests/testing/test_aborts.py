from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ets_client.testing import Costs, FakeOptions, VirtualClock
from tests.testing.conftest import LONG, eventually, open_client


async def test_an_abort_reaches_all_ids_that_begin_so_but_only_through_a_known_one() -> None:
    clock = VirtualClock()
    async with open_client(clock=clock, costs=Costs(decode_step=1)) as client:
        rids = ["node-1", "node-10", "node-2"]
        call = asyncio.ensure_future(client.generate([[10], [11], [12]], rid=rids, **LONG))
        await eventually(lambda: len(client.server.scheduler.running) == 3)
        assert (await client.post("/abort_request", rid="node")).status_code == 200
        assert (await client.post("/abort_request", rid="")).status_code == 200
        await clock.advance(2)
        assert len(client.server.scheduler.running) == 3
        await client.post("/abort_request", rid="node-1")
        await clock.advance(1)
        assert [job.rid for job in client.server.scheduler.running] == ["node-2"]
        await client.post("/abort_request", abort_all=True)
        reply = (await clock.run(call)).json()
        kinds = [each["meta_info"]["finish_reason"]["type"] for each in reply]
        assert kinds == ["abort"] * 3
        assert [each["meta_info"]["completion_tokens"] for each in reply] == [4, 4, 5]


async def test_an_abort_does_not_find_samples_of_n() -> None:
    clock = VirtualClock()
    async with open_client(clock=clock, costs=Costs(decode_step=1)) as client:
        call = asyncio.ensure_future(client.generate([[10, 11]], rid=["mine"], n=2, max_new_tokens=5, ignore_eos=True))
        await eventually(lambda: len(client.server.scheduler.running) == 2)
        await client.post("/abort_request", rid="mine")
        reply = (await clock.run(call)).json()
        assert [each["meta_info"]["finish_reason"]["type"] for each in reply] == ["length"] * 2


@pytest.mark.parametrize(
    ("version", "stream", "fields", "seconds"),
    [
        ("0.5.14", False, {}, 4.0),
        ("0.5.18", False, {}, 4.0),
        ("0.5.23", False, {}, 4.0),
        ("0.5.14", True, {}, 2.0),
        ("0.5.18", True, {}, None),
        ("0.5.23", True, {}, 0.0),
        ("0.5.14", True, {"n": 2}, None),
        ("0.5.23", True, {"n": 2}, 0.0),
        ("0.5.14", False, {"background": True}, None),
    ],
)
async def test_a_client_that_leaves_is_noticed_as_late_as_the_version_does(
    version: Any, fields: dict[str, Any], seconds: float | None, *, stream: bool
) -> None:
    clock = VirtualClock()
    options = FakeOptions(version=version)
    async with open_client(options, clock=clock, costs=Costs(decode_step=0.1)) as client:
        call = asyncio.ensure_future(client.generate(stream=stream, **fields, **LONG))
        await eventually(lambda: bool(client.server.scheduler.running))
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await eventually(lambda: client.server.open_connections == 0)
        if seconds is None:
            await clock.advance(30)
            assert client.server.scheduler.running
            return
        await clock.advance(seconds - 0.05 if seconds else 0.0)
        assert bool(client.server.scheduler.running)
        await clock.advance(0.3)
        assert not client.server.scheduler.running


@pytest.mark.parametrize(("version", "left"), [("0.5.14", 0), ("0.5.18", 2), ("0.5.23", 0)])
async def test_of_a_batch_that_is_left_0_5_18_may_stop_one_sample_only(version: Any, left: int) -> None:
    clock = VirtualClock()
    async with open_client(FakeOptions(version=version), clock=clock, costs=Costs(decode_step=0.1)) as client:
        call = asyncio.ensure_future(client.generate([[10], [11], [12]], **LONG))
        await eventually(lambda: len(client.server.scheduler.running) == 3)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await clock.advance(4.5)
        assert len(client.server.scheduler.running) == left
