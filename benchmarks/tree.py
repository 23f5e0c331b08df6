"""A tree search's load on one server, made in several ways, side by side and interleaved in one run.

    python benchmarks/tree.py http://127.0.0.1:30000 --profile PROFILE --out tree.json --plot tree.png

Every tree has a root of its own, expands it ``--width`` ways, and then on each of ``--depth`` levels ``--width`` / 4
nodes get 4 children each; every step has ``--step`` tokens. Prompt tokens that were computed are the server's own count
(``/metrics``); the least is each distinct token once, and the last token of a prompt again for each other sample of it.

Drivers:
    ours, ours 512, ours adaptive   this package, without admission and with it
    ours free                       no level barrier: each child goes on as soon as it ends, by `expand_iter`
    ours free 24                    the same, but expands leave together, 24 ms apart, to share prefill steps
    leader+batch                    by hand on aiohttp: the floor
    ids n=, text n=                 by hand on aiohttp, SGLang's own fan-out
    openai n=                       openai-python's async client
    frontend 8, frontend 32         SGLang's frontend as ETS calls it, with so many threads
    ceiling                         no tree: as many sequences decoded to the same depth in one batch

The server is flushed before each round: give it one that is yours. Peers need the ``bench`` extra (the frontend needs
``sglang``); text drivers need a server with a tokenizer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import platform
import resource
import statistics
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from drivers.frontend import Frontend
from drivers.measured import Round, flush, read_counters
from drivers.openai_n import OpenAiWithN
from drivers.ours import Ours
from drivers.plain import Ceiling, IdsWithN, LeaderAndBatch, TextWithN
from drivers.shape import Expand, Shape

from ets_client import AsyncPolicyClient, SamplingParams

if TYPE_CHECKING:
    from ets_client import ClientOptions

PEERS: dict[str, type[Any]] = {
    "leader+batch": LeaderAndBatch, "ids n=": IdsWithN, "text n=": TextWithN, "openai n=": OpenAiWithN,
}  # fmt: skip


@dataclass(kw_only=True)
class LoadRound(Round):
    """One driver's trees."""

    retracted: int
    p90: float | None
    p99: float | None
    first_tree: float | None
    half_of_trees: float | None
    client_cpu: float
    limit: int | None


async def grow(expand: Expand, root: Any, tree: int, shape: Shape, latencies: list[float]) -> None:
    """A tree, level by level."""

    async def one(node: Any, n: int, level: int, place: int) -> list[Any]:
        start = time.perf_counter()
        children = await expand(node, n, is_cold=level == 0, lengths=shape.lengths(tree, level, place, n=n))
        latencies.append(time.perf_counter() - start)
        return children

    nodes = (await one(root, shape.width, 0, 0))[: shape.kept]
    for level in range(1, shape.depth + 1):
        grown = await asyncio.gather(*(one(node, shape.fan, level, place) for place, node in enumerate(nodes)))
        nodes = [children[0] for children in grown]


async def grow_freely(ours: Ours, root: Any, tree: int, latencies: list[float]) -> None:
    """The same tree without levels: the children that go on do so as soon as they end."""
    shape = ours.shape

    async def children(node: Any, n: int, level: int, place: int, *, on: int) -> None:
        start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            async for index, child in ours.each(node, n, shape.lengths(tree, level, place, n=n)):
                if index < on and level < shape.depth:
                    group.create_task(children(child, shape.fan, level + 1, place if level else index, on=1))
            latencies.append(time.perf_counter() - start)

    await children(root, shape.width, 0, 0, on=shape.kept)


def options_of(name: str) -> ClientOptions:
    """What a driver of ours asks of its client."""
    asked = name.removeprefix("ours").strip()
    if asked.startswith("free"):
        return {"departure_interval": float(asked.removeprefix("free") or 0) / 1000 or None}
    return {"admission": int(asked) if asked.isdigit() else "adaptive" if asked == "adaptive" else None}


async def run_round(name: str, base: str, profile: str | None, shape: Shape, seed: int, vocabulary: int) -> LoadRound:
    roots = shape.roots(seed, vocabulary)
    latencies: list[float] = []
    ends: list[float] = []
    limit: int | None = None

    def cpu() -> float:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    async with aiohttp.ClientSession() as http:
        await flush(http, base)
        texts: list[str] = []
        if name.startswith("frontend") or getattr(PEERS.get(name), "takes_text", False):
            texts = [await text_of(http, base, root) for root in roots]
        if name == "ceiling":
            async with Ceiling(base, shape) as plain:
                await plain.warm(roots)
                before, cpu_before, start = await read_counters(http, base), cpu(), time.perf_counter()
                await plain.run(roots)
        elif name.startswith("frontend"):
            frontend = Frontend(base, shape, int(name.removeprefix("frontend")))
            before, cpu_before, start = await read_counters(http, base), cpu(), time.perf_counter()
            await asyncio.to_thread(frontend.run, texts, latencies, ends)
        elif name.startswith("ours"):
            async with Ours(base, shape, profile, **options_of(name)) as ours:
                prefixes = [await ours.client.prefix(root) for root in roots]
                before, cpu_before, start = await read_counters(http, base), cpu(), time.perf_counter()

                async def search(number: int) -> None:
                    async with ours.client.tree() as tree:
                        within = ours.within(tree)
                        if name.startswith("ours free"):
                            await grow_freely(within, prefixes[number], number, latencies)
                        else:
                            await grow(within.expand, prefixes[number], number, shape, latencies)
                    ends.append(time.perf_counter())

                await asyncio.gather(*map(search, range(shape.trees)))
                limit = ours.client.stats.admission_limit
        else:
            async with PEERS[name](base, shape) as peer:
                before, cpu_before, start = await read_counters(http, base), cpu(), time.perf_counter()

                async def search_by(number: int, root: Any) -> None:
                    await grow(peer.expand, root, number, shape, latencies)
                    ends.append(time.perf_counter())

                await asyncio.gather(*(search_by(number, root) for number, root in enumerate(texts or roots)))
        seconds, used = time.perf_counter() - start, cpu() - cpu_before
        counted = (await read_counters(http, base)).since(before)
    cuts = statistics.quantiles(latencies, n=100) if latencies else None
    done = sorted(end - start for end in ends)
    tokens = shape.trees * shape.width * shape.step * (shape.depth + 1) if name == "ceiling" else shape.tokens()
    return LoadRound(
        driver=name, seconds=seconds, tokens_per_second=tokens / seconds,
        prefilled=counted.prefilled, prefilled_over_least=counted.prefilled / shape.least, retracted=counted.retracted,
        p50=cuts and cuts[49], p90=cuts and cuts[89], p99=cuts and cuts[98],
        first_tree=done[0] if done else None, half_of_trees=done[(len(done) - 1) // 2] if done else None,
        client_cpu=used, limit=limit,
    )  # fmt: skip


async def text_of(http: aiohttp.ClientSession, base: str, ids: list[int]) -> str:
    async with http.post(base + "/detokenize", json={"tokens": ids, "skip_special_tokens": False}) as reply:
        text: str = (await reply.json())["text"]
    return text


async def warm_up(base: str, profile: str | None) -> None:
    """The first request after a start pays for what the server compiles."""
    async with AsyncPolicyClient(base, profile, check_profile=False) as client:
        await client.expand(await client.prefix([300, 301, 302]), 4, SamplingParams(max_new_tokens=8, ignore_eos=True))


def plot(report: dict[str, Any], path: Path) -> None:
    """Medians over the rounds, by driver."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    rounds = report["rounds"]
    shown = (
        ("tokens_per_second", "tokens a second"), ("prefilled_over_least", "tokens prefilled / least"),
        ("p50", "p50 of an expand, s"), ("half_of_trees", "half of the trees done after, s"),
    )  # fmt: skip
    counts = sorted({each["trees"] for each in rounds})
    figure, axes = plt.subplots(len(counts), len(shown), figsize=(4 * len(shown), 3.2 * len(counts)), squeeze=False)
    for row, trees in zip(axes, counts, strict=True):
        names = list(dict.fromkeys(each["driver"] for each in rounds if each["trees"] == trees))[::-1]
        for axis, (field, title) in zip(row, shown, strict=True):
            told = [
                [each[field] for each in rounds if (each["trees"], each["driver"]) == (trees, name) and each[field]]
                for name in names
            ]
            values = [statistics.median(each) if each else math.nan for each in told]
            bars = axis.barh(names, values, color=["#2a6f97" if n.startswith("ours") else "#b0b7bf" for n in names])
            labels = [
                f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if not math.isnan(value) else "" for value in values
            ]
            axis.bar_label(bars, labels, padding=2)
            axis.set_title(f"{title}, {trees} trees", fontsize=9)
            axis.margins(x=0.2)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base")
    parser.add_argument("--profile")
    parser.add_argument("--vocabulary", type=int, default=2048, help="ids of the roots are below it")
    parser.add_argument("--trees", type=int, nargs="+", default=[32])
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--fan", type=int, default=4)
    parser.add_argument("--step", type=int, default=48)
    parser.add_argument("--root", type=int, default=400)
    parser.add_argument("--exponential", action="store_true", help="lengths of steps; not for n= and frontends")
    parser.add_argument("--rounds", type=int, default=3)
    drivers = ["ours", "leader+batch", "ids n=", "text n="]
    parser.add_argument("--drivers", nargs="+", default=drivers)
    parser.add_argument("--machine", default=platform.platform())
    parser.add_argument("--out", type=Path, default=Path("tree.json"))
    parser.add_argument("--plot", type=Path)
    asked = parser.parse_args()
    asyncio.run(warm_up(asked.base, asked.profile))
    shape = Shape(0, asked.width, asked.depth, asked.fan, asked.step, asked.root, asked.exponential)
    facts = {"machine": asked.machine, "date": time.strftime("%Y-%m-%d"), "python": platform.python_version()}
    settings = {key: value for key, value in vars(asked).items() if key not in {"out", "base", "machine", "plot"}}
    report: dict[str, Any] = {**facts, "settings": settings, "rounds": []}
    for trees in asked.trees:
        for number in range(asked.rounds):
            first = number % len(asked.drivers)  # what ran before a driver should not always be the same
            for name in (*asked.drivers[first:], *asked.drivers[:first]):
                found = asyncio.run(
                    run_round(
                        name, asked.base, asked.profile, replace(shape, trees=trees), 1000 * trees + number,
                        asked.vocabulary,
                    )
                )  # fmt: skip
                report["rounds"].append({"trees": trees, "round": number, **asdict(found)})
                print(line_of(trees, found), flush=True)
                asked.out.write_text(json.dumps(report, indent=1, default=str) + "\n")  # what is measured is kept
    if asked.plot is not None:
        plot(report, asked.plot)


def line_of(trees: int, found: LoadRound) -> str:
    def shown(value: float | None) -> str:
        return "   -  " if value is None else f"{value:6.2f}"

    return (
        f"{trees:4} trees  {found.driver:13} {found.tokens_per_second:9,.0f} tokens/s  "
        f"prefilled/least {found.prefilled_over_least:7.3f}  retracted {found.retracted}  p50 {shown(found.p50)} s  "
        f"first tree {shown(found.first_tree)} s  half {shown(found.half_of_trees)} s  "
        f"client {found.client_cpu:5.2f} s CPU" + (f"  limit {found.limit}" if found.limit is not None else "")
    )


if __name__ == "__main__":
    main()
