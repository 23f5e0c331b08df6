"""The ledger beside a real server's counters, in a cache that is too small for the search."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ets_client import AsyncPolicyClient, LedgerRow
from tests.live.counters import COUNTERS, settled, told
from tests.schedules import Schedule

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path
    from random import Random

pytestmark = pytest.mark.live

VOCABULARY = range(300, 2000)
LONGEST = 8


async def run(seed: int, endpoint: Path, *, cuts: bool) -> tuple[Counter[str], LedgerRow]:
    schedule = Schedule(seed, workers=2, calls=3, cuts=cuts, vocabulary=VOCABULARY, lengths=(60, 200), longest=LONGEST)
    async with AsyncPolicyClient.from_endpoint(endpoint) as client:
        before = await settled(endpoint, client)

        async def disturb(random: Random) -> None:
            await client.warm(await client.prefix(random.choices(VOCABULARY, k=random.randint(100, 400))))

        async def pause(random: Random) -> None:
            for _ in range(random.randrange(4)):
                await client.model_info()

        await schedule.run(client, disturb, pause)
        server = await settled(endpoint, client)
        server.subtract(before)
        return server, client.ledger.total


@pytest.mark.filterwarnings("ignore::ets_client.ReuseShortfallWarning")
async def test_the_ledger_of_10_searches_equals_the_servers_counters(live_endpoint_small_cache: Path) -> None:
    rows: list[LedgerRow] = []
    for seed in range(10):
        server, row = await run(seed, live_endpoint_small_cache, cuts=False)
        assert server == told(row), seed
        assert row.unanswered == 0
        rows.append(row)
    assert sum(row.computed for row in rows) > sum(row.least for row in rows)  # it did not fit


@pytest.mark.filterwarnings("ignore::ets_client.ReuseShortfallWarning")
async def test_the_ledger_of_10_searches_that_are_cut_lacks_what_nobody_was_told(
    live_endpoint_small_cache: Path,
) -> None:
    lost = 0
    for seed in range(10, 20):
        server, row = await run(seed, live_endpoint_small_cache, cuts=True)
        ledger = told(row)
        untold = {name: server[name] - ledger[name] for name in COUNTERS}
        # A sample that was aborted in the queue has a reply, and is no request to the server's counters.
        assert untold["num_requests_total"] <= row.unanswered, (seed, untold)
        assert 0 <= untold["cached_tokens_total"] <= untold["prompt_tokens_total"] <= row.unanswered * 512, (
            seed,
            untold,
        )
        assert 0 <= untold["generation_tokens_total"] <= row.unanswered * LONGEST, (seed, untold)
        lost += row.unanswered
    assert lost > 0
