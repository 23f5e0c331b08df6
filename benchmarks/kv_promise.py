"""How much smaller is ETS's KV cache than REBASE's at the same width? `python benchmarks/kv_promise.py [OUT.json]`.

The trees are those of ``variants.py``, a generator that was written and committed before this comparison was made. Both
methods grow trees of the same kind from the same seeds; no server is asked. ``held`` is what a server must keep to go
on from the kept nodes, prompt (200 tokens) counted, the mean over the levels of all searches. ``published`` is ETS's,
taken before pruning and without the prompt. The paper's abstract says 1.8 times (arXiv 2502.13575).
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import variants
from variants import ByText, search
from watched import Watched

from ets_client.search.methods import Ets, Rebase

if TYPE_CHECKING:
    from ets_client.search.methods import Method

# lambda_s of the published settings, by width (ETS's hype-parameters/*.yaml); lambda_c is 1.
PUBLISHED = {16: 1.5, 64: 1.4, 256: 1.45}
SEARCHES = 100


def measure(method: Method) -> dict[str, float]:
    watched, count = Watched(method), Counter[str]()
    for seed in range(SEARCHES):
        search(watched, seed, count)
    levels = [level for level in watched.levels if level.depth and not level.is_last]
    return {
        "held": round(statistics.fmean(level.held for level in levels), 1),
        "published": round(statistics.fmean(level.published for level in levels), 1),
        "levels": len(levels),
        "answers a search": round(count["answers"] / SEARCHES, 2),
    }


def main(out: str | None) -> None:
    rows: list[dict[str, Any]] = []
    for width, lambda_s in PUBLISHED.items():
        variants.WIDTH = width
        for variant in ("paper", "fixed"):
            rebase = measure(Rebase(variant=variant))
            for name, method in (
                ("ets, published lambdas", Ets(1.0, lambda_s, clusterer=ByText(), variant=variant)),
                ("ets, lambda_s = 0", Ets(1.0, variant=variant)),
                ("ets, lambda_c = 2, lambda_s = 0", Ets(2.0, variant=variant)),
            ):
                ets = measure(method)
                ratios = {key: round(rebase[key] / ets[key], 3) for key in ("held", "published")}
                rows.append(
                    {"width": width, "variant": variant, "method": name, "ets": ets, "rebase": rebase, **ratios}
                )
                print(json.dumps(rows[-1]), flush=True)
    report = {"benchmark": "kv_promise", "date": time.strftime("%Y-%m-%d"), "searches": SEARCHES, "rows": rows}
    if out is not None:
        Path(out).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
