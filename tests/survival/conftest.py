"""A fake server on real sockets, in real time but quick, and a client of it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from ets_client import AsyncPolicyClient, RetryPolicy
from ets_client.testing import Costs, FakeServer
from tests.fakes import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ets_client.testing import FaultPlan

QUICK = RetryPolicy(first_wait=0.0, most_wait=0.0, least_attempt=0.5)
FAST = Costs(decode_step=0.0005, prefill_token=0.0)


@asynccontextmanager
async def site(
    faults: FaultPlan | None = None, *, costs: Costs = FAST, **options: Any
) -> AsyncIterator[tuple[FakeServer, AsyncPolicyClient]]:
    """A server and a client; when the client has ended, nothing of it may be left there."""
    async with FakeServer(faults=faults, costs=costs) as server:
        async with AsyncPolicyClient(server.base_url, "tiny", **{"retry": QUICK, **options}) as client:
            yield server, client
        await eventually(lambda: server.open_connections == 0)
        await eventually(lambda: server.scheduler.is_idle)
