from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ets_client import AsyncPolicyClient, PolicyClient
from tests.adapters.its_hub_rig import LONG_STEPS, stepwise

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from ets_client.testing import FakeServer


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with stepwise() as running:
        yield running


@pytest.fixture
async def client(server: FakeServer) -> AsyncIterator[AsyncPolicyClient]:
    async with AsyncPolicyClient(server.base_url, LONG_STEPS) as opened:
        yield opened


@pytest.fixture
def threaded() -> Iterator[tuple[FakeServer, PolicyClient]]:
    with stepwise() as running, PolicyClient(running.base_url, LONG_STEPS) as opened:
        yield running, opened
