from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
import respx

from ets_client import AsyncPolicyClient, RetryPolicy
from tests.fakes import FakeServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    Call = Callable[[AsyncPolicyClient], Awaitable[object]]

QUESTION = "How many apples has Tom, who has 3 boxes of 4?"
FULL = httpx.Response(503, json={"object": "error", "message": "The request queue is full.", "code": 503})
IMPATIENT = RetryPolicy(first_wait=0, most_wait=0)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server at the default address, behind a plain ``respx.mock``."""
    fake = FakeServer()
    with respx.mock(assert_all_called=False) as router:
        router.route(host="127.0.0.1", port=30000).mock(side_effect=fake)
        yield fake


@pytest.fixture
async def client(server: FakeServer) -> AsyncIterator[AsyncPolicyClient]:
    """A client of it that waits for nothing between tries."""
    async with AsyncPolicyClient(profile="tiny", retry=IMPATIENT) as opened:
        server.requests.clear()
        yield opened
