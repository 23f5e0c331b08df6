from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from ets_client import AsyncPolicyClient, RequestRejectedError, ServerMetrics
from tests.contract.conftest import QUESTION

if TYPE_CHECKING:
    from tests.fakes import FakeServer


class TestServer:
    async def test_facts_and_counters_are_those_of_now(self, server: FakeServer, client: AsyncPolicyClient) -> None:
        server.info["version"] = "0.5.23"
        assert (await client.server_info()).version == "0.5.23"
        assert await client.metrics() == ServerMetrics(100, 7, 30, 2, 1)

    async def test_a_server_without_metrics_is_an_error(self, server: FakeServer, client: AsyncPolicyClient) -> None:
        server.overrides["/metrics/"] = [httpx.Response(404, json={"detail": "Not Found"})]
        with pytest.raises(RequestRejectedError, match="has no /metrics/: is it the address of an SGLang server"):
            await client.metrics()

    async def test_health_is_a_yes_or_a_no(self, server: FakeServer, client: AsyncPolicyClient) -> None:
        assert await client.health()
        server.overrides["/health_generate"] = [httpx.Response(503)] * 5
        assert not await client.health()

    async def test_flushing_the_cache_makes_every_prefix_cold(
        self, server: FakeServer, client: AsyncPolicyClient
    ) -> None:
        root = await client.root(QUESTION)
        await client.expand(root, n=2)
        await client.flush_cache()
        await client.expand(root, n=2)
        assert len(server.leaders) == 2

    async def test_a_busy_server_flushes_nothing(self, server: FakeServer, client: AsyncPolicyClient) -> None:
        root = await client.root(QUESTION)
        await client.expand(root, n=2)
        server.overrides["/flush_cache"] = [httpx.Response(400, text="Flush cache failed.")]
        with pytest.raises(RequestRejectedError, match="Flush cache failed"):
            await client.flush_cache()
        await client.expand(root, n=2)
        assert len(server.leaders) == 1
