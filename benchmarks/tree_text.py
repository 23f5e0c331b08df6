"""Searches in real text, made by several clients on one server, interleaved in one run.

    ets-server up --profile smollm2 --endpoint-file policy.json
    python benchmarks/tree_text.py policy.json --out tree_text.json

Every question is a tree: its root, in the profile's prompt format, is expanded ``--width`` ways, and on each further
level ``--width`` / ``--fan`` nodes get ``--fan`` children each. Steps end at the profile's delimiter; a step that ends
the text has no children. All trees grow at once. Prompt tokens that were computed are the server's own count; the least
is that of the trees as they came out: all distinct tokens of the roots, and one for each sample but each root's first.

Drivers: ``ours``; by hand on aiohttp ``leader+batch`` in ids and ``text n=``; ``openai n=``; ``frontend 8``, SGLang's
frontend with 8 threads. Run it on a Python that has ``sglang`` for the last one; beside a CPU build of torch with
``--support server/src/ets_server/engine_scripts``. The server is flushed before each round: give it one that is yours.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import aiohttp
from drivers.measured import Round, flush, read_counters
from drivers.text import Frontend, LeaderAndBatch, OpenAiWithN, Ours, TextShape, TextWithN

from ets_client import AsyncPolicyClient, Endpoint, Prefix
from ets_client.search import least_prefill, load_questions

DRIVERS: dict[str, type[Any]] = {
    "ours": Ours, "leader+batch": LeaderAndBatch, "text n=": TextWithN, "openai n=": OpenAiWithN,
}  # fmt: skip


@dataclass(kw_only=True)
class TextRound(Round):
    """One driver's searches."""

    round: int
    generated: int
    samples: int
    least: int


async def run_round(name: str, base: str, shape: TextShape, roots: list[Prefix], number: int) -> TextRound:
    latencies: list[float] = []
    samples = [0]

    def took(seconds: float, n: int) -> None:
        latencies.append(seconds)
        samples[0] += n

    async def grow(peer: Any, root: Any) -> None:
        async def expand(node: Any, n: int, *, is_cold: bool = False) -> list[Any]:
            start = time.perf_counter()
            children = await peer.expand(node, n, is_cold=is_cold)
            took(time.perf_counter() - start, n)
            return [child for child in children if child is not None]

        level = (await expand(peer.root(root), shape.width, is_cold=True))[: shape.kept]
        for _ in range(shape.depth - 1):
            level = [grown[0] for grown in await asyncio.gather(*(expand(node, shape.fan) for node in level)) if grown]

    async with aiohttp.ClientSession() as http:
        await flush(http, base)
        if name.startswith("frontend"):
            frontend = Frontend(base, shape, int(name.removeprefix("frontend")))
            before, start = await read_counters(http, base), time.perf_counter()
            await asyncio.to_thread(frontend.run, [root.text for root in roots], took)
        else:
            async with DRIVERS[name](base, shape) as peer:
                before, start = await read_counters(http, base), time.perf_counter()
                await asyncio.gather(*(grow(peer, root) for root in roots))
        seconds = time.perf_counter() - start
        counted = (await read_counters(http, base)).since(before)
    least = sum(least_prefill(root, roots[:place], 1) for place, root in enumerate(roots)) + samples[0] - len(roots)
    return TextRound(
        driver=name, round=number, seconds=seconds, generated=counted.generated,
        tokens_per_second=counted.generated / seconds, samples=samples[0], prefilled=counted.prefilled, least=least,
        prefilled_over_least=counted.prefilled / least, p50=statistics.median(latencies),
    )  # fmt: skip


async def measure(asked: argparse.Namespace, report: dict[str, Any]) -> None:
    endpoint = Endpoint.read(asked.endpoint)
    base, profile = endpoint.base_url, endpoint.profile or asked.profile
    questions = load_questions(asked.questions)[: asked.trees]
    async with AsyncPolicyClient(base, profile) as client:
        roots = [await client.root(question.problem) for question in questions]
        (delimiter,), steps, sampling = client.profile.steps.delimiters, client.profile.steps, client.profile.sampling
        report["sglang"] = client.capabilities.version
        await client.expand("warm up", 8)  # the first request after a start pays for what the server compiles
    fields: dict[str, Any] = {"max_new_tokens": steps.max_step_tokens, "stop": [delimiter]}
    fields |= {name: value for name in ("temperature", "top_p") if (value := getattr(sampling, name)) is not None}
    shape = TextShape(len(roots), asked.width, asked.fan, asked.depth, profile, delimiter, fields)
    report["shape"] = asdict(shape)
    for number in range(asked.rounds):
        for name in asked.drivers:
            found = await run_round(name, base, shape, roots, number)
            report["rounds"].append(asdict(found))
            print(
                f"{name:13} {found.tokens_per_second:7.1f} tokens/s  prefilled {found.prefilled:6,} least "
                f"{found.least:6,} ratio {found.prefilled_over_least:6.3f}  {found.samples} samples  "
                f"p50 {found.p50:5.2f} s  {found.seconds:5.1f} s",
                flush=True,
            )
            asked.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")  # what is measured is kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("endpoint", type=Path)
    parser.add_argument("--profile", default="smollm2", help="where the endpoint file names none")
    parser.add_argument("--questions", type=Path, default=Path(__file__).parents[1] / "examples" / "questions.jsonl")
    parser.add_argument("--trees", type=int, default=8)
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--fan", type=int, default=4)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--drivers", nargs="+", default=[*DRIVERS, "frontend 8"])
    parser.add_argument("--support", type=Path, help="folder of cpu_support.py")
    parser.add_argument("--machine", default=platform.platform())
    parser.add_argument("--out", type=Path, default=Path("tree_text.json"))
    asked = parser.parse_args()
    if asked.support is not None:
        sys.path.insert(0, str(asked.support))
        import cpu_support

        cpu_support.install()
    report: dict[str, Any] = {
        "benchmark": "tree_text", "date": time.strftime("%Y-%m-%d"), "machine": asked.machine,
        "python": platform.python_version(), "rounds": [],
    }  # fmt: skip
    asyncio.run(measure(asked, report))


if __name__ == "__main__":
    main()
