"""A long run with faults: `python benchmarks/soak.py [OUT.json] [--seconds 600] [--cores 0,1,2]`.

128 expands in flight for as long as it says, 1 % of the requests meet a fault (reset, stall, 503, garbage, silence,
late), and one expand in twenty is cancelled. Memory that grows, descriptors or tasks that are left, an expand that is
lost, or a lag of the loop of 20 ms and more at p99 make it fail.

How much of a lag is the machine's: a loop that does nothing, in a process of its own, has one too; and what the client
computed itself between two looks is told beside it, as far as it was longer than the loop meant to sleep.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faulty_server import faulty_server
from machine import resident_mb, where

from ets_client import AsyncPolicyClient, RetryPolicy, SamplingParams, ServerFaultError

if TYPE_CHECKING:
    from ets_client import Expansion

IN_FLIGHT = 128
STEP = SamplingParams(max_new_tokens=32, temperature=0.0, ignore_eos=True, stop="never")
PROMPTS = 500  # few, and greedy: what the client remembers of prefixes must not look like a leak
COSTS = {"decode_step": 0.02}  # a step of a large model; the 128 wait for the server, not for this machine
RULES = [
    ("Reset", {}, 0.002),
    ("Reset", {"after": 100}, 0.002),
    ("Stall", {"after": 60}, 0.001),
    ("QueueFull", {}, 0.001),
    ("Garbage", {}, 0.002),
    ("NeverAnswer", {}, 0.001),
    ("Late", {"seconds": 0.5}, 0.001),
]
MOST_GROWTH_MB = 10.0
MOST_LAG_MS = 20.0
SLEEP = 0.01


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class Lag:
    """How late the loop wakes what sleeps 10 ms, and how much of that it has computed itself."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self.own: list[float] = []

    async def watch(self) -> None:
        while True:
            start, computed = time.perf_counter(), time.thread_time()
            await asyncio.sleep(SLEEP)
            self.late.append(time.perf_counter() - start - SLEEP)
            self.own.append(max(0.0, time.thread_time() - computed - SLEEP))


def milliseconds(found: list[float]) -> dict[str, float]:
    found = sorted(found)
    shares = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "most": 1.0}
    return {name: round(found[int(share * (len(found) - 1))] * 1e3, 2) for name, share in shares.items()}


async def idle(seconds: float) -> None:
    """Watch a loop that does nothing."""
    lag = Lag()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(lag.watch(), seconds)
    print(json.dumps(milliseconds(lag.late)))


async def soak(url: str, seconds: float) -> dict[str, Any]:
    chance = random.Random(3)
    prompts = [[chance.randrange(256) for _ in range(64)] for _ in range(PROMPTS)]
    done: Counter[str] = Counter()
    samples: list[dict[str, float]] = []
    end = time.perf_counter() + seconds
    policy = RetryPolicy(least_attempt=3.0, first_wait=0.05)
    async with AsyncPolicyClient(url, "tiny", retry=policy, timeout=60.0) as client:
        lag = Lag()
        watch = asyncio.create_task(lag.watch())

        async def one() -> Expansion:
            return await client.expand(prompts[chance.randrange(PROMPTS)], chance.choice([1, 2, 4]), STEP)

        async def work() -> None:
            while time.perf_counter() < end:
                call = asyncio.ensure_future(one())
                if chance.random() < 0.05:
                    await asyncio.wait([call], timeout=chance.random())
                    call.cancel()
                try:
                    await call
                    done["succeeded"] += 1
                except asyncio.CancelledError:
                    done["cancelled"] += 1
                except ServerFaultError:
                    done["garbage twice in a row"] += 1  # an error for the caller, as documented
                except Exception as error:  # noqa: BLE001 - counted, whatever it is
                    done[f"{type(error).__name__}: {error}"[:120]] += 1

        tasks_before = len(asyncio.all_tasks())
        workers = [asyncio.create_task(work()) for _ in range(IN_FLIGHT)]
        while time.perf_counter() < end:
            await asyncio.sleep(1.0)
            samples.append({"rss_mb": resident_mb(), "descriptors": descriptors(), "tasks": len(asyncio.all_tasks())})
        await asyncio.gather(*workers)
        await asyncio.sleep(2.0)
        watch.cancel()
        stats = client.stats
        tasks_left = len(asyncio.all_tasks()) - tasks_before
    third = max(1, len(samples) // 3)
    rss = [sample["rss_mb"] for sample in samples]
    return {
        "seconds": seconds,
        "in flight": IN_FLIGHT,
        "expands": dict(done),
        "failed tries": dict(stats.failures),
        "sent again": stats.resends,
        "aborts": stats.aborts,
        "connections opened": stats.connections_opened,
        "rss MB: median of the first, second, last third": [
            round(statistics.median(rss[place * third : (place + 1) * third]), 1) for place in range(3)
        ],
        "descriptors, most": max(sample["descriptors"] for sample in samples),
        "descriptors at the end": descriptors(),
        "tasks, most": max(sample["tasks"] for sample in samples),
        "tasks left": tasks_left,
        "connections left busy": stats.connections_busy,
        "lag of the loop, ms": milliseconds(lag.late),
        "of that, computed by the client itself": milliseconds(lag.own),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", nargs="?", type=Path, help="JSON to write")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--cores", help="cores for the client, the server and the loop that does nothing: 0,1,2")
    parser.add_argument("--idle", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.idle:
        asyncio.run(idle(given.seconds))
        return
    cores = [int(core) for core in given.cores.split(",")] if given.cores else []
    faults = [(name, fields, {"probability": share}) for name, fields, share in RULES]
    with faulty_server(COSTS, max_running_requests=512, max_total_tokens=262_144) as server:
        before = descriptors()
        server.faults(*faults)
        watch = [sys.executable, __file__, "--idle", "--seconds", str(given.seconds)]
        with subprocess.Popen(watch, stdout=subprocess.PIPE, text=True) as beside:
            for process, core in zip((0, server.pid, beside.pid), cores, strict=False):
                os.sched_setaffinity(process, {core})
            found = asyncio.run(soak(server.url, given.seconds))
            found["lag of a loop that does nothing, ms"] = json.loads(beside.communicate()[0])
    report = where("soak") | {"cores": cores or "any"} | found
    print(json.dumps(report, indent=1))
    if given.out is not None:
        given.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    first, _, last = found["rss MB: median of the first, second, last third"]
    checks = {
        "memory grows": last - first > MOST_GROWTH_MB,
        "descriptors are left": found["descriptors at the end"] > before + 4,
        "tasks are left": found["tasks left"] > 0,
        "expands were lost": bool(found["expands"].keys() - {"succeeded", "cancelled", "garbage twice in a row"}),
        "the loop lags": found["lag of the loop, ms"]["p99"] >= MOST_LAG_MS,
    }
    failed = [what for what, is_so in checks.items() if is_so]
    if failed:
        sys.exit("soak failed: " + ", ".join(failed))


if __name__ == "__main__":
    main()
