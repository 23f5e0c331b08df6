from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from ets_client._transport.addresses import Addresses
from ets_client._transport.base import HttpRequest, TransportError
from ets_client._transport.origin import Origin
from tests.transport.pools import opened
from tests.transport.servers import SocketServer, answer_ok

if TYPE_CHECKING:
    from collections.abc import Iterator


class Names:
    """A name server that answers when it may."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.may_answer = threading.Event()
        self.addresses = ["127.0.0.1"]
        self.may_answer.set()

    def look_up(self, host: str, port: int, *args: Any, **options: Any) -> Any:
        if options.get("flags", 0) & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not a number")
        self.asked.append(host)
        self.may_answer.wait(10)
        if not self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.addresses]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    made = Names()
    monkeypatch.setattr(socket, "getaddrinfo", made.look_up)
    yield made
    made.may_answer.set()


async def test_a_name_is_looked_up_once_for_all_that_connect_at_the_same_time(names: Names) -> None:
    async with SocketServer(answer_ok).run() as server, opened(200) as pool:
        url = server.url.replace("127.0.0.1", "policy.cluster")
        replies = await asyncio.gather(*(pool.send(HttpRequest("GET", url)) for _ in range(200)))
        assert {reply.status for reply in replies} == {200}
        assert server.connections == 200
    assert names.asked == ["policy.cluster"]


async def test_the_next_connect_looks_again_because_a_name_may_have_moved(names: Names) -> None:
    addresses = Addresses(Origin("http", "policy.cluster", 80))
    for _ in range(2):
        assert [found[4] for found in await addresses.find()] == [("127.0.0.1", 80)]
    assert names.asked == ["policy.cluster"] * 2


async def test_who_is_cancelled_does_not_take_the_answer_from_the_others(names: Names) -> None:
    names.may_answer.clear()
    addresses = Addresses(Origin("http", "policy.cluster", 80))
    first, second = (asyncio.create_task(addresses.find()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    names.may_answer.set()
    assert len(await second) == 1


async def test_the_next_address_of_a_name_is_tried_when_one_refuses(names: Names) -> None:
    names.addresses = ["127.0.0.2", "127.0.0.1"]
    async with SocketServer(answer_ok).run() as server, opened() as pool:
        reply = await pool.send(HttpRequest("GET", server.url.replace("127.0.0.1", "policy.cluster")))
    assert reply.status == 200


async def test_a_name_that_nobody_knows_is_an_error_for_all(names: Names) -> None:
    names.addresses = []
    async with opened(8) as pool:
        sending = (pool.send(HttpRequest("GET", "http://policy.cluster")) for _ in range(8))
        errors = await asyncio.gather(*sending, return_exceptions=True)
    assert {str(error) for error in errors} == {
        f"policy.cluster:80: [Errno {socket.EAI_NONAME}] Name or service not known"
    }
    assert all(isinstance(error, TransportError) and not error.was_sent for error in errors)
    assert len(names.asked) == 1


async def test_closing_a_pool_waits_for_no_name_server(names: Names) -> None:
    names.may_answer.clear()
    async with opened() as pool:
        sending = asyncio.create_task(pool.send(HttpRequest("GET", "http://policy.cluster")))
        while not names.asked:  # noqa: ASYNC110 - a thread asks
            await asyncio.sleep(0.001)
        await pool.aclose()
        with pytest.raises(TransportError, match="the pool was closed"):
            await sending
        names.may_answer.set()
