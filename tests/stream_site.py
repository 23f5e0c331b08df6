"""What the tests of streams share: a server whose time stands still while it generates, and a client of it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from ets_client import AsyncPolicyClient, Branch, BranchStream, RetryPolicy, SamplingParams
from ets_client.testing import Costs, FakeOptions, FakeServer, FaultPlan, Version, VirtualClock
from tests.fakes import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ets_client.testing import TextModel

QUICK = RetryPolicy(first_wait=0, most_wait=0)
ENDLESS = SamplingParams(max_new_tokens=1500, ignore_eos=True, stop="never, ever")
VERSIONS: list[Version] = ["0.5.14", "0.5.18", "0.5.23"]


class Site:
    """A server whose time stands still while it generates, and a client of it."""

    def __init__(self, server: FakeServer, client: AsyncPolicyClient, clock: VirtualClock) -> None:
        self.server = server
        self.client = client
        self.clock = clock

    @property
    def aborts(self) -> int:
        return self.server.count("/abort_request")

    async def settled(self) -> None:
        """Nothing runs there any more, and nobody reads from it."""
        await self.clock.advance(1)
        assert self.server.scheduler.is_idle
        assert self.server.registered_rids == frozenset()


@asynccontextmanager
async def site(
    faults: FaultPlan | None = None,
    *,
    model: TextModel | None = None,
    admission: int | None = None,
    departure_interval: float | None = None,
    **options: Any,
) -> AsyncIterator[Site]:
    clock, costs = VirtualClock(), Costs(decode_step=0.5)
    async with FakeServer(FakeOptions(**options), model=model, clock=clock, costs=costs, faults=faults) as server:
        before = asyncio.all_tasks()
        async with AsyncPolicyClient(
            server.base_url, "tiny", retry=QUICK, admission=admission, departure_interval=departure_interval
        ) as client:
            yield Site(server, client, clock)
        await eventually(lambda: server.open_connections == 0)
        await eventually(lambda: asyncio.all_tasks() == before)


async def all_of(branches: BranchStream) -> list[Branch]:
    return [branch async for branch in branches]
