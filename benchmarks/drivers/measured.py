"""One driver's round on a server, in the server's own counters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import aiohttp


@dataclass
class Counters:
    """The server's own, from its metrics."""

    prefilled: int
    reused: int
    generated: int
    retracted: int

    def since(self, before: Counters) -> Counters:
        return Counters(*(now - then for now, then in zip(vars(self).values(), vars(before).values(), strict=True)))


@dataclass(kw_only=True)
class Round:
    """What every benchmark of drivers tells of one of them."""

    driver: str
    seconds: float
    tokens_per_second: float
    prefilled: int
    prefilled_over_least: float
    p50: float | None  # of an expand


async def flush(http: aiohttp.ClientSession, base: str) -> None:
    async with http.post(base + "/flush_cache?timeout=60") as reply:
        reply.raise_for_status()


async def read_counters(http: aiohttp.ClientSession, base: str) -> Counters:
    async with http.get(base + "/metrics/") as reply:
        lines = (await reply.text()).splitlines()

    def most(name: str, mode: str = "") -> int:
        """Every rank of a tensor-parallel server counts all tokens."""
        ranks = [float(line.rpartition(" ")[2]) for line in lines if line.startswith(name + "{") and mode in line]
        return int(max(ranks, default=0))

    tokens = "sglang:realtime_tokens_total"
    return Counters(
        most(tokens, 'mode="prefill_compute"'), most(tokens, 'mode="prefill_cache"'), most(tokens, 'mode="decode"'),
        most("sglang:num_retracted_requests_total"),
    )  # fmt: skip
