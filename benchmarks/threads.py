"""Calls of 64 OS threads through one event loop: `python benchmarks/threads.py [OUT.json]`.

First calls that do nothing on the loop, side by side and interleaved: ours, anyio's blocking portal and
`asyncio.run_coroutine_threadsafe`. Then `expand(n=1)` of 64 threads through `PolicyClient` against 64 tasks of
`AsyncPolicyClient`, on a fake server in a process of its own; and the same once more with the client on one core, where
no lock of the interpreter's goes from core to core. Medians.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import anyio
import anyio.from_thread
from machine import publish, where

from ets_client import AsyncPolicyClient, PolicyClient, SamplingParams
from ets_client._threads.loop_thread import LoopThread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

THREADS = 64
ROUNDS = 9
CALLS = 16_384
EXPANDS = 8_192
ONE = SamplingParams(max_new_tokens=4, ignore_eos=True)


async def nothing() -> None:
    """Do nothing on the loop."""


def rate(call: Callable[[], object], calls: int) -> float:
    """Calls a second of 64 threads that begin together."""
    together = threading.Barrier(THREADS + 1)

    def work() -> None:
        together.wait()
        for _ in range(calls // THREADS):
            call()
        together.wait()

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    together.wait()
    start = time.perf_counter()
    together.wait()
    seconds = time.perf_counter() - start
    for thread in threads:
        thread.join()
    return calls / seconds


@contextlib.contextmanager
def ours() -> Iterator[Callable[[], object]]:
    loop_thread = LoopThread("benchmark", nothing)
    loop_thread.start()
    yield lambda: loop_thread.call(nothing)
    loop_thread.close()


@contextlib.contextmanager
def portal() -> Iterator[Callable[[], object]]:
    with anyio.from_thread.start_blocking_portal("asyncio") as opened:
        yield lambda: opened.call(nothing)


@contextlib.contextmanager
def threadsafe() -> Iterator[Callable[[], object]]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield lambda: asyncio.run_coroutine_threadsafe(nothing(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def rate_of_tasks(url: str) -> float:
    """Expands a second of 64 tasks."""
    async with AsyncPolicyClient(url, "tiny") as client:
        root = await client.root("How many?")
        await client.warm(root)

        async def work(count: int) -> None:
            for _ in range(count):
                await client.expand(root, 1, ONE)

        await asyncio.gather(*(work(2) for _ in range(THREADS)))  # connections are made
        start = time.perf_counter()
        await asyncio.gather(*(work(EXPANDS // THREADS) for _ in range(THREADS)))
        return EXPANDS / (time.perf_counter() - start)


def rate_of_threads(url: str) -> float:
    """Expands a second of 64 threads."""
    with PolicyClient(url, "tiny") as client:
        root = client.root("How many?")
        client.warm(root)
        rate(lambda: client.expand(root, 1, ONE), 2 * THREADS)
        return rate(lambda: client.expand(root, 1, ONE), EXPANDS)


@contextlib.contextmanager
def on_one_core() -> Iterator[None]:
    """What begins in this context stays on one core; the server, which began before, does not."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def rates_of_expands(url: str) -> dict[str, list[float]]:
    """Expands a second, of tasks and of threads in turns."""
    found: dict[str, list[float]] = {"64 tasks": [], "64 threads": []}
    for _ in range(ROUNDS):
        found["64 tasks"].append(asyncio.run(rate_of_tasks(url)))
        found["64 threads"].append(rate_of_threads(url))
    return found


def ratio(rates: dict[str, list[float]]) -> float:
    """Of threads to tasks, round by round."""
    return round(statistics.median(threads / tasks for tasks, threads in zip(*rates.values(), strict=True)), 3)


@contextlib.contextmanager
def server() -> Iterator[str]:
    command = [sys.executable, "-m", "ets_client.testing"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["base_url"]
        finally:
            process.terminate()


def summary(rates: list[float]) -> dict[str, object]:
    return {"median": round(statistics.median(rates)), "rounds": [round(each) for each in rates]}


def main(out: str | None) -> None:
    ways = {"ours": ours, "anyio's portal": portal, "run_coroutine_threadsafe": threadsafe}
    nothings: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            with way() as call:
                nothings[name].append(rate(call, CALLS))
    with server() as url:
        expands = rates_of_expands(url)
        with on_one_core():
            on_one = rates_of_expands(url)
    report = where("threads") | {
        "threads": THREADS,
        "calls a second that do nothing": {name: summary(rates) for name, rates in nothings.items()},
        "expand(n=1) a second": {name: summary(rates) for name, rates in expands.items()},
        "expand(n=1), threads / tasks": ratio(expands),
        "expand(n=1) a second, client on one core": {name: summary(rates) for name, rates in on_one.items()},
        "expand(n=1), threads / tasks, client on one core": ratio(on_one),
    }
    publish(report, out)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
