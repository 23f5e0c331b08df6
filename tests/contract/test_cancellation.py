from __future__ import annotations

import asyncio

import pytest

from ets_client import AsyncPolicyClient
from tests.contract.conftest import QUESTION
from tests.fakes import FakeServer, eventually, sample


class TestCancellation:
    async def test_cancelling_at_any_await_leaves_nothing_behind(
        self, server: FakeServer, client: AsyncPolicyClient
    ) -> None:
        """Cancel an expand after k steps of the loop, for every k until it completes."""
        server.answer = lambda rid, params, prompt: sample(rid, (97, 301))  # so that /detokenize is asked too
        before = asyncio.all_tasks()
        steps = 0
        while True:
            root = await client.prefix(QUESTION, namespace=f"k{steps}")  # cold each time
            task = asyncio.create_task(client.expand(root, n=3))
            for _ in range(steps):
                await asyncio.sleep(0)
            if not task.cancel():
                break
            with pytest.raises(asyncio.CancelledError):
                await task
            await eventually(lambda: asyncio.all_tasks() == before)
            assert server.dropped <= server.aborted
            steps += 1
        assert len(await task) == 3
        assert steps > 5
        for size in (1, 2):
            assert server.aborted & {rid for body in server.batches if len(body["rid"]) == size for rid in body["rid"]}
        assert len(await client.expand(QUESTION, n=3)) == 3

    async def test_cancelling_one_expand_leaves_the_others_alone(
        self, server: FakeServer, client: AsyncPolicyClient
    ) -> None:
        root = await client.root(QUESTION)
        await client.expand(root, n=1)
        server.open.clear()
        one, two = (asyncio.create_task(client.expand(root, n=2)) for _ in range(2))
        await eventually(lambda: len(server.batches) == 3)
        one.cancel()
        server.open.set()
        assert len(await two) == 2
        await eventually(lambda: server.aborted == set(server.batches[1]["rid"]))

    async def test_closing_waits_for_aborts_on_their_way(self, server: FakeServer) -> None:
        async with AsyncPolicyClient(profile="tiny") as client:
            server.open.clear()
            task = asyncio.create_task(client.generate("q"))
            await eventually(lambda: len(server.batches) == 1)
            task.cancel()
            await asyncio.wait([task])
        assert server.aborted == set(server.batches[0]["rid"])

    async def test_a_caller_cancelled_inside_the_client_leaves_it_closed(self, server: FakeServer) -> None:
        async def work() -> None:
            async with AsyncPolicyClient(profile="tiny") as client:
                await client.generate("q")

        before = asyncio.all_tasks()
        server.open.clear()
        task = asyncio.create_task(work())
        await eventually(lambda: len(server.batches) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert server.aborted == set(server.batches[0]["rid"])
        assert asyncio.all_tasks() == before

    async def test_cancelling_first_contact_closes_the_client(self, server: FakeServer) -> None:
        client = AsyncPolicyClient(profile="tiny")
        task = asyncio.create_task(client.__aenter__())
        await eventually(lambda: len(server.requests) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert "closed" in repr(client)
