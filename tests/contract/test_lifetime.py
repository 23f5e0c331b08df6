from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ets_client import AsyncPolicyClient, ConfigurationError, EtsClientError
from tests.contract.conftest import FULL, IMPATIENT
from tests.fakes import FakeServer, eventually

if TYPE_CHECKING:
    from tests.contract.conftest import Call

CALLS: dict[str, Call] = {
    "root": lambda client: client.root("q"),
    "prefix": lambda client: client.prefix("q"),
    "expand": lambda client: client.expand("q"),
    "generate": lambda client: client.generate("q"),
    "server_info": lambda client: client.server_info(),
    "metrics": lambda client: client.metrics(),
    "health": lambda client: client.health(),
    "flush_cache": lambda client: client.flush_cache(),
}


class TestLifetime:
    @pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
    async def test_a_client_is_used_inside_async_with(self, server: FakeServer, call: Call) -> None:
        client = AsyncPolicyClient(profile="tiny")
        with pytest.raises(ConfigurationError, match="async with"):
            await call(client)
        async with client:
            server.requests.clear()
        with pytest.raises(ConfigurationError, match="this client is closed: call it inside its `async with`"):
            await call(client)
        assert server.requests == []

    def test_a_client_belongs_to_one_loop(self, server: FakeServer) -> None:
        async def elsewhere() -> None:
            for call in CALLS.values():
                with pytest.raises(ConfigurationError, match="another event loop"):
                    await call(client)

        client = AsyncPolicyClient(profile="tiny")
        with asyncio.Runner() as runner:
            runner.run(client.__aenter__())
            server.requests.clear()
            asyncio.run(elsewhere())
            runner.run(client.aclose())
        assert server.requests == []

    async def test_a_closed_client_cannot_be_opened_again(self, server: FakeServer) -> None:
        client = AsyncPolicyClient(profile="tiny")
        async with client:
            pass
        with pytest.raises(ConfigurationError, match="this client is closed"):
            await client.__aenter__()

    async def test_an_open_client_cannot_be_opened_again(self, server: FakeServer) -> None:
        async with AsyncPolicyClient(profile="tiny") as client:
            asked = len(server.requests)
            with pytest.raises(ConfigurationError, match="open already"):
                await client.__aenter__()
            assert len(server.requests) == asked
            assert len(await client.expand("q", 1)) == 1

    async def test_closing_twice_does_nothing(self, server: FakeServer) -> None:
        async with AsyncPolicyClient(profile="tiny") as client:
            await client.aclose()
        await client.aclose()

    async def test_a_call_that_outlives_the_client_ends_with_an_error_of_ours(self, server: FakeServer) -> None:
        async with AsyncPolicyClient(profile="tiny", retry=IMPATIENT) as client:
            server.overrides["/generate"] = [FULL] * 5
            late = asyncio.create_task(client.generate("q"))
            await eventually(lambda: len(server.batches) == 1)
        with pytest.raises(EtsClientError):
            await late

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"timeout": 0}, "timeout = 0"),
            ({"timeout": -1.0}, "timeout = -1"),
            ({"connections": 0}, "connections = 0"),
            ({"base_url": "localhost:30000"}, "base_url = 'localhost:30000'"),
        ],
    )
    def test_an_option_that_cannot_be_used_is_refused(self, options: dict[str, Any], words: str) -> None:
        with pytest.raises(ConfigurationError, match=words):
            AsyncPolicyClient(**options)

    def test_an_unknown_option_is_refused_as_python_does(self) -> None:
        options: dict[str, Any] = {"api_keys": "sk-1"}
        with pytest.raises(TypeError, match="'api_keys'") as caught:
            AsyncPolicyClient(**options)
        assert "sk-1" not in str(caught.value)

    async def test_a_given_transport_is_used_and_left_open(self, server: FakeServer) -> None:
        class Closable(httpx.MockTransport):
            is_closed = False

            async def aclose(self) -> None:
                self.is_closed = True

        transport = Closable(server)
        async with AsyncPolicyClient("http://elsewhere", "tiny", transport=transport, timeout=None) as client:
            assert len(await client.expand("q", n=2)) == 2
        assert {request.url.host for request in server.requests} == {"elsewhere"}
        assert not transport.is_closed
