"""Pools for tests: whatever happened in one, at its end no connection, permit or waiter is left."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from ets_client._transport.pool import Pool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@contextlib.asynccontextmanager
async def opened(connections: int = 4, keep_alive_seconds: float = 60, **options: Any) -> AsyncIterator[Pool]:
    pool = Pool(connections=connections, keep_alive_seconds=keep_alive_seconds, **options)
    try:
        yield pool
        stats = pool.stats()
        assert (stats.busy, stats.waiting) == (0, 0)
    finally:
        await pool.aclose()
    stats = pool.stats()
    assert (stats.busy, stats.idle, stats.waiting) == (0, 0, 0)
