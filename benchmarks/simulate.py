"""Admission on a model of a server, without one: `python benchmarks/simulate.py [OUT.json [OUT.png]] [--trees 10000]`.

Limit and order are the package's own; the server (prefill, decode, KV cache, LRU, retraction) is a model with
four costs for a shape, fitted to one measured run of 32 trees each. The first part says how well it predicts the other
measured runs; the second studies what was not measured. A cold prefix is computed once an expand, as with a leader.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from machine import where
from simulated.forest import UNBOUNDED as NO_LIMIT
from simulated.forest import Forest, Shape
from simulated.server import Costs, Server

from ets_client._core.limiter import Limits

# Llemma-7B shape on an H100: 13.5 GB of weights at 3.35 TB/s are 4 ms; 512 KiB of KV at this rate are 0.16 us a token,
# 0.2 with what is lost; the rest was fitted to 6,978 tokens/s with 32 trees.
LLEMMA_7B = Costs(step=4e-3, sample=3e-5, context=2.0e-7, prefill=2.5e-5)
LLEMMA_KV = 120_000
# Llama-3.2-1B shape: 2.5 GB of weights, 32 KiB of KV a token; fitted to 27,900 tokens/s with 32 trees.
LLAMA_1B = Costs(step=1.5e-3, sample=2.7e-5, context=1.2e-8, prefill=4e-6)
LLAMA_KV = 1_900_000
MOST_RUNNING = 4096
UNBOUNDED = Limits.fixed(NO_LIMIT)
NATIVE_BATCH = 512
ROOTS_1500 = Shape(root=1500)
EXPONENTIAL = Shape(exponential=True)

MEASURED: list[dict[str, Any]] = [
    {"shape": "7B", "trees": 32, "limit": None, "tokens_per_second": 6978, "p50": 3.4, "fitted": True},
    {"shape": "7B", "trees": 64, "limit": None, "tokens_per_second": 6486, "p50": 7.5, "fitted": False},
    {"shape": "7B", "trees": 64, "limit": 256, "tokens_per_second": 6621, "p50": 1.9, "fitted": False},
    {"shape": "1B", "trees": 32, "limit": None, "tokens_per_second": 27894, "p50": None, "fitted": True},
    {"shape": "1B", "trees": 128, "limit": None, "tokens_per_second": 27215, "p50": None, "fitted": False},
]


def run(
    trees: int, limits: Limits, shape: Shape, *, kv: int = LLEMMA_KV, breadth_first: bool = False, model: str = "7B"
) -> dict[str, Any]:
    """One run, as a row of the report."""
    costs = LLEMMA_7B if model == "7B" else LLAMA_1B
    forest = Forest(Server(costs, kv, MOST_RUNNING), shape, trees, limits, breadth_first=breadth_first)
    row = asdict(forest.run())
    levels = [limit for _, limit in row.pop("limits")]
    row["prefilled / least"] = round(row["prefilled"] / row["least"], 3)
    row["limit, median of the second half"] = sorted(levels[len(levels) // 2 :])[len(levels) // 4] if levels else None
    return row


def validation() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for case in MEASURED:
        limits = UNBOUNDED if case["limit"] is None else Limits.fixed(case["limit"])
        kv = LLEMMA_KV if case["shape"] == "7B" else LLAMA_KV
        row = run(case["trees"], limits, Shape(), kv=kv, model=case["shape"])
        rows.append({
            **case,
            "simulated tokens_per_second": row["tokens_per_second"], "simulated p50": row["p50"],
            "error": round(row["tokens_per_second"] / case["tokens_per_second"] - 1, 3),
            "error of p50": round(row["p50"] / case["p50"] - 1, 3) if case["p50"] else None,
        })  # fmt: skip
    return rows


def study(trees: int, shape: Shape, kv: int = LLEMMA_KV) -> dict[str, dict[str, Any]]:
    """The same work with different admissions."""
    rows: dict[str, dict[str, Any]] = {}
    for name, limits, breadth_first in (
        ("unbounded", UNBOUNDED, False),
        ("fixed 256, breadth first", Limits.fixed(256), True),
        ("fixed 256, depth first", Limits.fixed(256), False),
        ("adaptive, breadth first", Limits.around(NATIVE_BATCH), True),
        ("adaptive, depth first", Limits.around(NATIVE_BATCH), False),
        ("adaptive, native batch not told", Limits(), False),
    ):
        rows[name] = run(trees, limits, shape, kv=kv, breadth_first=breadth_first)
        print(f"{trees} trees, {name}: {rows[name]}", flush=True)
    return rows


def plot(report: dict[str, Any], path: str) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
    sweep, adaptive = report["fixed limits, 128 trees"], report["128 trees"]["adaptive, depth first"]
    limits = [int(limit) for limit in sweep]
    left.plot(limits, [row["tokens_per_second"] for row in sweep.values()], "o-", label="fixed limit")
    left.axhline(adaptive["tokens_per_second"], ls="--", label="adaptive")
    left.axhline(report["128 trees"]["unbounded"]["tokens_per_second"], ls=":", color="gray", label="unbounded")
    left.set(title="Tokens a second, 128 trees", xlabel="limit, samples", xscale="log", ylim=0)
    right.plot(limits, [row["p50"] for row in sweep.values()], "o-", label="fixed limit")
    right.axhline(adaptive["p50"], ls="--", label="adaptive")
    right.axhline(report["128 trees"]["unbounded"]["p50"], ls=":", color="gray", label="unbounded")
    right.set(title="p50 of an expand, seconds, 128 trees", xlabel="limit, samples", xscale="log", ylim=0)
    left.legend()
    right.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("json", nargs="?")
    arguments.add_argument("png", nargs="?")
    arguments.add_argument("--trees", type=int, default=10_000)
    given = arguments.parse_args()
    report: dict[str, Any] = {
        "note": "a model, not a measurement; Llemma-7B shape on one H100 where nothing else is said",
        "predictions of measured runs": validation(),
        "fixed limits, 128 trees": {
            str(limit): run(128, Limits.fixed(limit), Shape()) for limit in (16, 32, 64, 128, 256, 512, 1024, 2048)
        },
        "128 trees": study(128, Shape()),
        "128 trees, exponential steps": study(128, EXPONENTIAL),
        "128 trees, roots of 1,500 tokens": study(128, ROOTS_1500),
        f"{given.trees:,} trees": study(given.trees, Shape()),
    }
    print(json.dumps(report["predictions of measured runs"], indent=1))
    if given.json:
        Path(given.json).write_text(json.dumps(where("simulate") | report, indent=1) + "\n", encoding="utf-8")
    if given.png:
        plot(report, given.png)


if __name__ == "__main__":
    main()
