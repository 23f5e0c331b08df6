from __future__ import annotations

import asyncio

import httpx
import pytest

from ets_client import (
    AsyncPolicyClient,
    AuthenticationError,
    DeadlineExceededError,
    FailureKind,
    RequestError,
    RequestRejectedError,
    RetryPolicy,
    ServerBusyError,
    ServerFaultError,
    ServerUnreachableError,
)
from tests.contract.conftest import FULL, QUESTION
from tests.fakes import Clock, FakeServer, eventually, sample


class TestFailures:
    async def test_a_full_queue_is_tried_again(self, server: FakeServer, client: AsyncPolicyClient) -> None:
        root = await client.root(QUESTION)
        await client.expand(root, n=1)
        server.requests.clear()
        server.overrides["/generate"] = [FULL, FULL]
        assert len(await client.expand(root, n=2)) == 2
        rids = [body["rid"] for body in server.bodies("/generate")]
        assert len(rids) == 3
        assert len({rid for tried in rids for rid in tried}) == 6

    async def test_a_queue_that_stays_full_is_an_error_with_its_history(self, server: FakeServer) -> None:
        server.overrides["/generate"] = [FULL] * 5
        async with AsyncPolicyClient(profile="tiny", retry=RetryPolicy(patience=0.01)) as client:
            with pytest.raises(ServerBusyError, match="The request queue is full") as caught:
                await client.expand("q", n=1)
        assert [attempt.kind for attempt in caught.value.attempts] == [FailureKind.BUSY]
        assert caught.value.rids == tuple(server.bodies("/generate")[-1]["rid"])

    @pytest.mark.parametrize(
        ("answer", "kind", "posts"),
        [
            (httpx.Response(400, json={"error": {"message": "too long"}}), RequestRejectedError, 1),
            (httpx.Response(400, json={"error": "unknown field"}), RequestRejectedError, 1),
            (httpx.Response(401, json={"error": "Unauthorized"}), AuthenticationError, 1),
            (httpx.Response(500, text="Internal Server Error"), ServerFaultError, 1),
            (httpx.Response(500, json={"message": "out of memory"}), ServerFaultError, 2),
            (httpx.Response(200, text='[{"text": "cut'), ServerFaultError, 2),
            (httpx.Response(200, json=[]), ServerFaultError, 2),
            (httpx.Response(200, json=[sample("a"), sample("b")]), ServerFaultError, 2),
            (httpx.ReadError("reset"), ServerUnreachableError, 5),
            (httpx.ConnectError("refused"), ServerUnreachableError, 5),
        ],
    )
    async def test_each_failure_has_its_error_and_its_number_of_posts(
        self,
        server: FakeServer,
        client: AsyncPolicyClient,
        answer: httpx.Response | Exception,
        kind: type[RequestError],
        posts: int,
    ) -> None:
        server.overrides["/generate"] = [answer] * 9
        with pytest.raises(kind) as caught:
            await client.expand("q", n=1)
        assert len(server.bodies("/generate")) == len(caught.value.attempts) == posts
        server.overrides.clear()
        assert len(await client.expand("q", n=1)) == 1  # the client works on

    async def test_a_server_that_was_gone_makes_every_prefix_cold(
        self, server: FakeServer, client: AsyncPolicyClient
    ) -> None:
        root = await client.root(QUESTION)
        await client.expand(root, n=2)
        server.overrides["/generate"] = [httpx.ReadError("reset")]
        await client.expand(root, n=2)  # one connection broke; the server is there
        assert (len(server.leaders), len(server.prefills)) == (1, 0)
        server.overrides["/generate"] = [httpx.ReadError("reset")]
        server.overrides["/model_info"] = [httpx.ConnectError("refused")]
        await client.expand(root, n=2)  # the batch is sent again only after its prefix
        assert (len(server.leaders), len(server.prefills)) == (1, 1)

    async def test_a_deadline_tells_of_its_attempts_and_stops_the_samples(
        self, server: FakeServer, client: AsyncPolicyClient
    ) -> None:
        root = await client.root(QUESTION)
        await client.expand(root, n=1)
        server.overrides["/generate"] = [FULL]
        server.open.clear()
        server.requests.clear()
        clock = Clock()
        task = asyncio.create_task(client.expand(root, n=3, timeout=60))
        await clock.jump(60, when=lambda: len(server.batches) == 2)
        with pytest.raises(DeadlineExceededError, match="no answer within 60 s") as caught:
            await task
        assert [attempt.kind for attempt in caught.value.attempts] == [FailureKind.BUSY, FailureKind.GIVEN_UP]
        assert set(caught.value.rids) == server.dropped
        await eventually(lambda: server.dropped <= server.aborted)

    async def test_the_clients_timeout_holds_when_the_call_has_none(self, server: FakeServer) -> None:
        async with AsyncPolicyClient(profile="tiny", timeout=60) as client:
            server.open.clear()
            clock = Clock()
            task = asyncio.create_task(client.expand("q", n=2))
            await clock.jump(60, when=lambda: len(server.batches) == 1)
            with pytest.raises(DeadlineExceededError, match="60 s"):
                await task

    async def test_a_deadline_covers_the_tokenising_of_text(
        self, server: FakeServer, client: AsyncPolicyClient
    ) -> None:
        server.overrides["/tokenize"] = [FULL] * 2
        with pytest.raises(DeadlineExceededError, match="the text was not tokenised within 1e-09 s"):
            await client.expand("q", timeout=1e-9)
        assert server.bodies("/generate") == []
