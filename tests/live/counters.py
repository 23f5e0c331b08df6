"""What a real server counted, and the same numbers as a ledger has them."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from ets_client import AsyncPolicyClient

if TYPE_CHECKING:
    from pathlib import Path

    from ets_client import LedgerRow

__all__ = ["COUNTERS", "counted", "settled", "told"]

COUNTERS = ("prompt_tokens_total", "cached_tokens_total", "generation_tokens_total", "num_requests_total")


def counted(endpoint: Path) -> Counter[str]:
    """What the server counts when a request ends."""
    base = AsyncPolicyClient.from_endpoint(endpoint)._address.base_url
    found: Counter[str] = Counter()
    with urlopen(f"{base}/metrics/") as reply:
        for family in text_string_to_metric_families(reply.read().decode()):
            for sample in family.samples:
                if sample.name.removeprefix("sglang:") in COUNTERS:
                    found[sample.name.removeprefix("sglang:")] += round(sample.value)
    return found


async def settled(endpoint: Path, client: AsyncPolicyClient) -> Counter[str]:
    """The counters when nothing runs there any more and they stand still."""
    before: Counter[str] | None = None
    while True:
        loads = await client.loads()
        now = await asyncio.to_thread(counted, endpoint)
        if before == now and not any(load.running_requests or load.waiting_requests for load in loads):
            return now
        before = now


def told(row: LedgerRow) -> Counter[str]:
    """What came of the same in replies."""
    values = (row.asked, row.reused, row.generated, row.samples + row.prefills)
    return Counter(dict(zip(COUNTERS, values, strict=True)))
