from __future__ import annotations

import contextlib
import functools
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import httpcore
import httpx
import pytest
import respx

from ets_client import AsyncPolicyClient
from ets_client._transport.base import HttpReply, HttpRequest
from ets_client._transport.default import DefaultTransport, make_transport
from ets_client._transport.httpx_pool import PoolTransport
from ets_client._transport.mocks import MockWatch
from ets_client._transport.stock import StockTransport
from tests.transport.servers import SocketServer, answer_ok

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from pytest_httpx import HTTPXMock


@contextlib.asynccontextmanager
async def default() -> AsyncIterator[DefaultTransport]:
    transport = DefaultTransport(connections=4, keep_alive_seconds=5)
    try:
        yield transport
    finally:
        await transport.aclose()


async def through_httpx(url: str) -> bytes:
    async with httpx.AsyncClient(transport=PoolTransport()) as client:
        return (await client.get(url)).content


async def through_ours(url: str) -> bytes:
    async with default() as transport:
        reply: HttpReply = await transport.send(HttpRequest("GET", url))
        return reply.body


async def through_a_stream(url: str) -> bytes:
    async with default() as transport:
        stream = await transport.open(HttpRequest("GET", url))
        try:
            return b"".join([piece async for piece in stream.chunks()])
        finally:
            await stream.aclose()


WAYS = pytest.mark.parametrize("send", [through_ours, through_a_stream, through_httpx])


@WAYS
@pytest.mark.parametrize("using", ["httpcore", "httpx"])
async def test_respx_sees_every_request(send: Any, using: str) -> None:
    async with SocketServer(answer_ok).run() as server:
        with respx.mock(using=using) as router:
            route = router.get(server.url).respond(200, text="mocked")
            assert await send(server.url) == b"mocked"
            assert route.call_count == 1
        assert server.connections == 0
        assert await send(server.url) == b"ok"
        assert server.connections == 1


@WAYS
async def test_respx_refuses_what_it_does_not_know_and_nothing_reaches_the_network(send: Any) -> None:
    async with SocketServer(answer_ok).run() as server:
        with respx.mock, pytest.raises(respx.models.AllMockedAssertionError):
            await send(server.url)
        assert server.connections == 0


@WAYS
async def test_respx_may_let_a_request_through(send: Any) -> None:
    async with SocketServer(answer_ok).run() as server:
        with respx.mock as router:
            router.get(server.url).pass_through()
            assert await send(server.url) == b"ok"


@WAYS
async def test_pytest_httpx_sees_every_request(send: Any, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(text="mocked")
    async with SocketServer(answer_ok).run() as server:
        assert await send(server.url) == b"mocked"
        assert server.connections == 0


@WAYS
@pytest.mark.parametrize("owner", [httpx.AsyncHTTPTransport, httpcore.AsyncConnectionPool])
async def test_unittest_mock_sees_every_request(send: Any, owner: type) -> None:
    fail = mock.AsyncMock(side_effect=AssertionError("seen"))
    async with SocketServer(answer_ok).run() as server:
        with mock.patch.object(owner, "handle_async_request", fail), pytest.raises(AssertionError, match="seen"):
            await send(server.url)
        assert server.connections == 0


async def test_a_mock_that_comes_when_connections_are_open_is_seen_and_one_that_went_is_forgotten() -> None:
    async with SocketServer(answer_ok).run() as server, default() as transport:
        request = HttpRequest("GET", server.url)
        for _ in range(3):
            assert (await transport.send(request)).body == b"ok"
            with respx.mock as router:
                router.get(server.url).respond(200, text="mocked")
                assert (await transport.send(request)).body == b"mocked"
        assert server.connections == 1


async def test_a_mocked_client_reaches_no_network() -> None:
    async with SocketServer(answer_ok).run() as server:
        with respx.mock, pytest.raises(respx.models.AllMockedAssertionError):
            async with AsyncPolicyClient(server.url):
                pass
        assert server.connections == 0


def traced(package: str) -> Any:
    """httpx's send as a tracer of that name wraps it."""
    space: dict[str, Any] = {"__name__": f"{package}.httpx", "original": httpx.AsyncClient.send}
    exec("async def send(self, *args, **kwargs):\n    return await original(self, *args, **kwargs)", space)
    return functools.wraps(httpx.AsyncClient.send)(space["send"])


@pytest.fixture
def watch() -> Iterator[MockWatch]:
    watch = MockWatch()
    assert not watch.is_mocked()
    yield watch
    assert not watch.is_mocked()


@pytest.mark.parametrize(("package", "is_mocked"), [("sentry_sdk", False), ("opentelemetry", False), ("mine", True)])
def test_a_tracer_is_no_mock_and_what_nobody_knows_is_one(
    package: str, watch: MockWatch, *, is_mocked: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ets_client")
    with mock.patch.object(httpx.AsyncClient, "send", traced(package)):
        assert [watch.is_mocked() for _ in range(3)] == [is_mocked] * 3
    assert len(caplog.records) == is_mocked
    assert all("AsyncClient.send is replaced by mine" in record.message for record in caplog.records)


def test_a_transport_of_the_users_goes_through_httpx() -> None:
    given = httpx.MockTransport(lambda _: httpx.Response(200))
    made = make_transport(connections=1, keep_alive_seconds=5, transport=given)
    assert isinstance(made, StockTransport)
    assert isinstance(make_transport(connections=1, keep_alive_seconds=5), DefaultTransport)


def test_our_own_connections_do_without_httpx() -> None:
    code = """
import asyncio, sys
from ets_client import AsyncPolicyClient
from ets_client.testing import FakeServer
async def main():
    async with FakeServer() as server, AsyncPolicyClient(server.base_url) as client:
        await client.expand(await client.root("x"), n=2)
asyncio.run(main())
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {"httpx", "httpcore", "anyio"} & set(done.stdout.split())


async def test_what_went_through_is_counted() -> None:
    async with SocketServer(answer_ok).run() as server, default() as transport:
        await transport.send(HttpRequest("POST", server.url, body=b"hello"))
        stats = transport.stats()
    assert (stats.requests, stats.sent_bytes, stats.received_bytes, stats.opened, stats.idle) == (1, 5, 2, 1, 1)


def test_a_mock_is_seen_however_late_it_is_imported() -> None:
    code = """
import asyncio, sys
from ets_client._transport.base import HttpRequest
from ets_client._transport.default import DefaultTransport
from tests.transport.servers import SocketServer, answer_ok

async def main():
    transport = DefaultTransport(connections=1, keep_alive_seconds=5)
    async with SocketServer(answer_ok).run() as server:
        request = HttpRequest("GET", server.url)
        assert (await transport.send(request)).body == b"ok"
        import httpx
        assert (await transport.send(request)).body == b"ok"
        assert "httpcore" not in sys.modules
        import respx
        with respx.mock as router:
            router.get(server.url).respond(200, text="mocked")
            assert (await transport.send(request)).body == b"mocked"
        await transport.aclose()

asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
