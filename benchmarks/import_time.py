"""Time that imports take: `python benchmarks/import_time.py [OUT.json]`.

Each import is made in an interpreter of its own, interleaved, and the interpreter's own start is taken off. Compiled
modules are there, as they are after an installation. CPU time is the least of all rounds: other programs can only add
to it.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import pydantic
from machine import publish, where

ROUNDS = 21
STATEMENTS = {
    "import ets_client": "import ets_client",
    "the async client": "from ets_client import AsyncPolicyClient",
    "the client for threads": "from ets_client import PolicyClient",
    "all names": "from ets_client import *",
    "sampling": "from ets_client import SamplingParams",
    "of which asyncio": "import asyncio",
    "of which pydantic": "import pydantic; pydantic.BaseModel",
    "of which both": "import asyncio, pydantic; pydantic.BaseModel",
}


def seconds(statement: str, compiled: str) -> tuple[float, float]:
    """CPU and wall-clock time of a fresh interpreter, which keeps compiled modules in that folder."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled, "PYTHONDONTWRITEBYTECODE": ""}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True, env=environment)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def main(out: str | None) -> None:
    rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in ("bare", *STATEMENTS)}
    with tempfile.TemporaryDirectory() as compiled:
        for statement in STATEMENTS.values():
            seconds(statement, compiled)
        for _ in range(ROUNDS):
            for name in rounds:
                rounds[name].append(seconds(STATEMENTS.get(name, "pass"), compiled))
    least = {name: min(cpu for cpu, _ in found) for name, found in rounds.items()}
    median = {name: statistics.median(wall for _, wall in found) for name, found in rounds.items()}
    report = where("import_time") | {
        "pydantic": pydantic.VERSION,
        "results": {
            name: {
                "least CPU ms": round((least[name] - least["bare"]) * 1e3, 1),
                "median wall ms": round((median[name] - median["bare"]) * 1e3, 1),
            }
            for name in STATEMENTS
        },
    }
    publish(report, out)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
