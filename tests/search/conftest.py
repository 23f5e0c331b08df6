from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ets_client import AsyncPolicyClient
from ets_client.testing import FakeOptions, FakeServer, SeededModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SEEDED = FakeOptions(enable_deterministic_inference=True, schedule_policy="lpm")


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer(SEEDED, model=SeededModel(4, line_end=0.2, text_end=0.02)) as running:
        yield running


@pytest.fixture
async def client(server: FakeServer) -> AsyncIterator[AsyncPolicyClient]:
    async with AsyncPolicyClient(server.base_url, "tiny") as opened:
        yield opened
