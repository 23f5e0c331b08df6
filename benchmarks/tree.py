"""A tree search's load on one server, made in several ways, side by side and interleaved in one run.

    python benchmarks/tree.py http://127.0.0.1:30000 --profile PROFILE --out tree.json

Every tree has a root of its own, expands it ``--width`` ways, and then on each of ``--depth`` levels ``--width`` / 4
nodes get 4 children each; every step has ``--step`` tokens. Prompt tokens that were computed are the server's own count
(``/metrics``); the least is each distinct token once, and the last token of a prompt again for each other sample of it.

The server is flushed before each round: give it one that is yours. Peers need the ``bench`` extra; a text driver needs
a server with a tokenizer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import random
import resource
import statistics
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson

from ets_client import AsyncPolicyClient, Prefix, SamplingParams

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Self


@dataclass(frozen=True)
class Shape:
    trees: int
    width: int
    depth: int
    step: int
    root: int

    @property
    def samples(self) -> int:
        return self.trees * (self.width + self.depth * (self.width // 4) * 4)

    @property
    def least(self) -> int:
        """Tokens that have to be computed: the roots, and one for every sample but each root's first."""
        return self.trees * self.root + self.samples - self.trees


@dataclass
class Round:
    driver: str
    seconds: float
    tokens_per_second: float
    prefilled: int
    prefilled_over_least: float
    p50: float
    p90: float
    p99: float
    first_tree: float
    half_of_trees: float
    client_cpu: float


class Plain:
    """What the hand-written drivers share: a session without limits, and replies read by orjson."""

    def __init__(self, base: str, shape: Shape) -> None:
        self.base, self.shape = base, shape

    async def __aenter__(self) -> Self:
        self.http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=3), timeout=aiohttp.ClientTimeout(total=600)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.close()

    async def post(self, body: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json"}
        async with self.http.post(self.base + "/generate", data=orjson.dumps(body), headers=headers) as reply:
            found = orjson.loads(await reply.read())
        return found if isinstance(found, list) else [found]

    def sampling(self, **more: Any) -> dict[str, Any]:
        return {"max_new_tokens": self.shape.step, "ignore_eos": True, **more}


class LeaderAndBatch(Plain):
    """The floor: one sample computes a cold prefix, then all others go as one batch of id lists."""

    async def expand(self, ids: list[int], n: int, *, is_cold: bool) -> list[list[int]]:
        found: list[Any] = []
        if is_cold:
            found = await self.post({"input_ids": ids, "sampling_params": self.sampling(), "rid": uuid.uuid4().hex})
        rids = [uuid.uuid4().hex for _ in range(n - len(found))]
        body = {"input_ids": [ids] * len(rids), "rid": rids, "sampling_params": [self.sampling()] * len(rids)}
        return [ids + one["output_ids"] for one in [*found, *await self.post(body)]]


class IdsWithN(Plain):
    async def expand(self, ids: list[int], n: int, **_: bool) -> list[list[int]]:
        found = await self.post({"input_ids": ids, "sampling_params": self.sampling(n=n)})
        return [ids + one["output_ids"] for one in found]


class TextWithN(Plain):
    async def expand(self, text: str, n: int, **_: bool) -> list[str]:
        found = await self.post({"text": text, "sampling_params": self.sampling(n=n)})
        return [text + one["text"] for one in found]


class Ours:
    def __init__(self, client: AsyncPolicyClient, shape: Shape) -> None:
        self.client = client
        # No stop strings, as for the others: the server looks for them after every token.
        self.sampling = SamplingParams(max_new_tokens=shape.step, ignore_eos=True, stop=())

    async def expand(self, prefix: Prefix, n: int, **_: bool) -> list[Prefix]:
        return [branch.prefix for branch in await self.client.expand(prefix, n, self.sampling)]


async def grow(expand: Callable[..., Awaitable[list[Any]]], root: Any, shape: Shape, latencies: list[float]) -> None:
    async def one(node: Any, n: int, *, is_cold: bool = False) -> list[Any]:
        start = time.perf_counter()
        children = await expand(node, n, is_cold=is_cold)
        latencies.append(time.perf_counter() - start)
        return children

    level = (await one(root, shape.width, is_cold=True))[: shape.width // 4]
    for _ in range(shape.depth):
        level = [children[0] for children in await asyncio.gather(*(one(node, 4) for node in level))]


async def prefilled(http: aiohttp.ClientSession, base: str) -> int:
    async with http.get(base + "/metrics/") as reply:
        lines = (await reply.text()).splitlines()
    ranks: dict[str, float] = {}
    for line in lines:
        if line.startswith("sglang:realtime_tokens_total{") and 'mode="prefill_compute"' in line:
            ranks[line.partition(" ")[0]] = float(line.rpartition(" ")[2])
    return int(max(ranks.values(), default=0))


async def run_round(name: str, base: str, profile: str | None, shape: Shape, seed: int, vocabulary: int) -> Round:
    chance = random.Random(seed)
    roots = [[chance.randrange(300, vocabulary) for _ in range(shape.root)] for _ in range(shape.trees)]
    latencies: list[float] = []
    ends: list[float] = []
    async with aiohttp.ClientSession() as http:
        async with http.post(base + "/flush_cache?timeout=60") as reply:
            reply.raise_for_status()
        before = await prefilled(http, base)

        async def tree(expand: Callable[..., Awaitable[list[Any]]], root: Any) -> None:
            await grow(expand, root, shape, latencies)
            ends.append(time.perf_counter() - start)

        cpu = resource.getrusage(resource.RUSAGE_SELF)
        if name.startswith("ours"):
            limit = name.removeprefix("ours").strip() or None
            admission: Any = int(limit) if limit is not None and limit.isdigit() else limit
            async with AsyncPolicyClient(
                base, profile, connections=4096, check_profile=False, admission=admission
            ) as client:
                prefixes = [await client.prefix(root) for root in roots]
                cpu, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
                await asyncio.gather(*(tree(Ours(client, shape).expand, prefix) for prefix in prefixes))
        else:
            kind: type[Any] = {"leader+batch": LeaderAndBatch, "ids n=": IdsWithN, "text n=": TextWithN}[name]
            given: list[Any] = list(roots)
            if kind is TextWithN:
                given = [await text_of(http, base, root) for root in roots]
            async with kind(base, shape) as plain:
                cpu, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
                await asyncio.gather(*(tree(plain.expand, root) for root in given))
        seconds = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_SELF)
        computed = await prefilled(http, base) - before
    cuts = statistics.quantiles(latencies, n=100)
    return Round(
        name,
        seconds,
        shape.samples * shape.step / seconds,
        computed,
        computed / shape.least,
        cuts[49],
        cuts[89],
        cuts[98],
        min(ends),
        sorted(ends)[len(ends) // 2],
        after.ru_utime + after.ru_stime - cpu.ru_utime - cpu.ru_stime,
    )


async def text_of(http: aiohttp.ClientSession, base: str, ids: list[int]) -> str:
    async with http.post(base + "/detokenize", json={"tokens": ids, "skip_special_tokens": False}) as reply:
        text: str = (await reply.json())["text"]
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base")
    parser.add_argument("--profile")
    parser.add_argument("--vocabulary", type=int, default=2048, help="ids of the roots are below it")
    parser.add_argument("--trees", type=int, nargs="+", default=[32])
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--step", type=int, default=48)
    parser.add_argument("--root", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    drivers = ["ours", "leader+batch", "ids n=", "text n="]
    parser.add_argument("--drivers", nargs="+", default=drivers, help="`ours 256`, `ours adaptive`: with admission")
    parser.add_argument("--machine", default=platform.platform())
    parser.add_argument("--out", type=Path, default=Path("tree.json"))
    asked = parser.parse_args()
    rounds: list[dict[str, Any]] = []
    for trees in asked.trees:
        shape = Shape(trees, asked.width, asked.depth, asked.step, asked.root)
        for number in range(asked.rounds):
            for name in asked.drivers:
                found = asyncio.run(
                    run_round(name, asked.base, asked.profile, shape, 1000 * trees + number, asked.vocabulary)
                )
                rounds.append({"trees": trees, "round": number, **asdict(found)})
                print(
                    f"{trees:4} trees  {name:13} {found.tokens_per_second:9,.0f} tokens/s  "
                    f"prefilled/least {found.prefilled_over_least:7.3f}  p50 {found.p50:6.3f} s  "
                    f"first tree {found.first_tree:6.2f} s  half {found.half_of_trees:6.2f} s  "
                    f"client {found.client_cpu:5.2f} s CPU",
                    flush=True,
                )
    facts = {"machine": asked.machine, "date": time.strftime("%Y-%m-%d"), "python": platform.python_version()}
    settings = {key: value for key, value in vars(asked).items() if key not in {"out", "base", "machine"}}
    asked.out.write_text(json.dumps({**facts, "settings": settings, "rounds": rounds}, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()
