"""What the client survives, and at what cost: `python benchmarks/faults.py [OUT.json]`, about two minutes.

A fake server in a process of its own breaks, stalls, refuses or overflows as it is told; each row says what the
client's callers saw. Times hold for the machine that is named; a busy one makes them longer.
"""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from faulty_server import faulty_server
from machine import publish, resident_mb, where

from ets_client import (
    AsyncPolicyClient,
    DeadlineExceededError,
    FailureKind,
    PolicyClient,
    RequestError,
    SamplingParams,
)

if TYPE_CHECKING:
    from faulty_server import FaultyServer

STEP = SamplingParams(max_new_tokens=8, ignore_eos=True, stop="never")
LONG = SamplingParams(max_new_tokens=1_500, ignore_eos=True, stop="never")
COSTS = {"decode_step": 0.002}


def milliseconds(values: list[float], share: float) -> float:
    return round(sorted(values)[min(len(values) - 1, int(share * len(values)))] * 1e3, 1)


async def until_idle(server: FaultyServer, client: AsyncPolicyClient, seconds: float = 10.0) -> tuple[float, int]:
    """Seconds until nothing of the client's runs, here or there, and how many samples still ran at their end."""
    start = time.perf_counter()
    while (took := time.perf_counter() - start) < seconds:
        seen = server.ask()
        if not seen["active"] and not client.stats.connections_busy and not client.stats.samples_in_flight:
            return took, 0
        await asyncio.sleep(0.01)
    return took, seen["active"]


async def cancels(total: int = 10_000) -> dict[str, Any]:
    """Expands cancelled at random moments; what is left 2 s later; then 100 healthy ones."""
    chance = random.Random(7)
    with faulty_server(COSTS) as server:
        async with AsyncPolicyClient(server.url, "tiny", connections=16) as client:
            await client.expand("healthy", 1, STEP)
            tasks_before = len(asyncio.all_tasks())

            async def worker() -> None:
                for _ in range(total // 50):
                    prompt, n = f"question {chance.randrange(20)}", chance.choice([1, 2, 8])
                    task = asyncio.ensure_future(client.expand(prompt, n, chance.choice([STEP, LONG])))
                    if chance.random() < 0.5:
                        for _ in range(chance.randrange(40)):
                            await asyncio.sleep(0)
                    else:
                        await asyncio.sleep(chance.random() * 0.02)
                    task.cancel()
                    await asyncio.wait([task])

            await asyncio.gather(*(worker() for _ in range(50)))
            took, left = await until_idle(server, client)
            tasks, busy, aborts = len(asyncio.all_tasks()), client.stats.connections_busy, client.stats.aborts
            healthy = await asyncio.gather(*(client.expand("healthy", 1, STEP) for _ in range(100)))
            return {
                "expands cancelled": total,
                "seconds until nothing of them was left": round(took, 3),
                "samples left on the server": left,
                "connections left busy": busy,
                "tasks left": tasks - tasks_before,
                "aborts sent": aborts,
                "healthy expands afterwards, of 100": len(healthy),
            }


async def storm(expands: int, n: int) -> dict[str, Any]:
    """Many samples given up at once: until the last abort was taken, and what ran on."""
    options = {"max_running_requests": 256, "max_total_tokens": 4_000_000, "disconnect_poll_seconds": 3600.0}
    with faulty_server({"decode_step": 0.02}, **options) as server:  # none may end by itself meanwhile
        async with AsyncPolicyClient(server.url, "tiny", connections=1_024) as client:
            tasks = [asyncio.ensure_future(client.expand([97, place + 97], n, LONG)) for place in range(expands)]
            while server.ask()["active"] < expands * n:  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.05)
            before, start = server.ask()["aborts"], time.perf_counter()
            for task in tasks:
                task.cancel()
            while server.ask()["aborts"] - before < expands * n and time.perf_counter() - start < 30:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            took = time.perf_counter() - start
            _, left = await until_idle(server, client, 2.0)
            return {
                "samples": expands * n,
                "aborts taken": server.ask()["aborts"] - before,
                "milliseconds until the last": round(took * 1e3),
                "samples that ran on": left,
            }


async def keep_alive(total: int = 10_000) -> dict[str, Any]:
    """Requests sent just when the server closes the idle connection that they use."""
    chance = random.Random(5)
    with faulty_server(keep_alive_seconds=0.05) as server:
        async with AsyncPolicyClient(server.url, "tiny") as client:
            root = await client.prefix("q")
            await client.warm(root)
            errors = 0

            async def worker() -> None:
                nonlocal errors
                for _ in range(total // 50):
                    try:
                        await client.expand(root, 1, STEP)
                    except RequestError:
                        errors += 1
                    await asyncio.sleep(0.05 + chance.uniform(-0.004, 0.004))

            await asyncio.gather(*(worker() for _ in range(50)))
            return {
                "requests": total,
                "errors of callers": errors,
                "tries that met a closed connection": sum(client.stats.failures.values()),
                "connections opened": client.stats.connections_opened,
            }


async def lost_replies(deadline: float | None) -> dict[str, Any]:
    """One reply in 200 never comes."""
    with faulty_server(COSTS) as server:
        async with AsyncPolicyClient(server.url, "tiny") as client:
            root = await client.prefix("question " * 10)
            await client.warm(root)
            server.faults(("NeverAnswer", {}, {"probability": 1 / 200}))
            took: list[float] = []
            missed: list[float] = []

            async def worker() -> None:
                for _ in range(40):
                    start = time.perf_counter()
                    try:
                        await client.expand(root, 2, STEP, timeout=deadline)
                        took.append(time.perf_counter() - start)
                    except DeadlineExceededError:
                        missed.append(time.perf_counter() - start)

            await asyncio.gather(*(worker() for _ in range(64)))
            stats = client.stats
            lost = len(missed) if deadline else stats.failures.get(FailureKind.NO_REPLY, 0)
            row: dict[str, Any] = {
                "expands": 64 * 40,
                "deadline, seconds": deadline,
                "succeeded": len(took),
                "replies lost": lost,
                "sent again": stats.resends,
                "p50 of those that succeeded, ms": milliseconds(took, 0.5),
                "p99, ms": milliseconds(took, 0.99),
                "longest, ms": milliseconds(took, 1.0),
            }
            if deadline is not None and missed:
                row["longest beyond the deadline, ms"] = round((max(missed) - deadline) * 1e3, 1)
            return row


def full_queue(seconds: float = 10.0) -> dict[str, Any]:
    """503 for 10 s to 64 OS threads that all want something."""
    with faulty_server(COSTS) as server, PolicyClient(server.url, "tiny") as client:
        root = client.root("question")
        client.warm(root)
        ends: list[float] = []
        is_over = threading.Event()
        before = server.faults(("QueueFull", {}, {}))["generate"]

        def work() -> None:
            client.expand(root, 1, STEP)
            ends.append(time.perf_counter())
            while not is_over.is_set():
                client.expand(root, 1, STEP)

        threads = [threading.Thread(target=work) for _ in range(64)]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        refused = server.faults()["generate"] - before
        end = time.perf_counter()
        while len(ends) < 64:
            time.sleep(0.005)
        time.sleep(2.0)
        is_over.set()
        for thread in threads:
            thread.join()
        calls = client.stats.calls
        return {
            "threads": 64,
            "seconds": seconds,
            "requests refused": refused,
            "expands until 2 s after its end": calls,
            "extra requests, share of them": round(refused / calls, 3),
            "seconds until each thread had its result": round(max(ends) - end, 3),
        }


async def hostile() -> dict[str, Any]:
    """Bytes that are no reply of SGLang's: what the caller sees, how long it takes, what it costs in memory."""
    head = "HTTP/1.1 200 OK\r\n"
    replies: dict[str, tuple[str, dict[str, Any]]] = {
        "garbage": ("Garbage", {"size": 1_000_000}),
        "JSON cut in the middle": ("Cut", {"share": 0.5}),
        "a page of HTML": ("Answer", {"content_type": "text/html"}),
        "TLS on a plain port": ("Raw", {}),
        "a body of 100 MB": ("Raw", {"head": head + "content-length: 100000004\r\n\r\n", "size": 100_000_000}),
        "100 MB without a length": ("Raw", {"head": head + "connection: close\r\n\r\n", "size": 100_000_000}),
        "a header of 1 MB": ("Raw", {"head": head + "x: ", "size": 1_000_000}),
    }
    rows: dict[str, Any] = {}
    with faulty_server() as server:
        async with AsyncPolicyClient(server.url, "tiny") as client:
            await client.expand("q", 1, STEP)
            for name, (fault, fields) in replies.items():
                before = server.faults((fault, fields, {}))["generate"]
                memory, start = resident_mb(), time.perf_counter()
                try:
                    await client.expand("q", 1, STEP)
                    seen = "a result"
                except RequestError as error:
                    seen = type(error).__name__
                rows[name] = {
                    "seen": seen,
                    "ms": round((time.perf_counter() - start) * 1e3),
                    "requests": server.faults()["generate"] - before,
                    "MB more": round(resident_mb() - memory, 1),
                }
                await client.expand("q", 1, STEP)
    return rows


def main(out: str | None) -> None:
    report: dict[str, Any] = {}
    report["cancelled at random"] = asyncio.run(cancels())
    report["given up at once"] = [asyncio.run(storm(8, 8)), asyncio.run(storm(64, 32)), asyncio.run(storm(250, 32))]
    report["around the end of idle connections"] = asyncio.run(keep_alive())
    report["a reply in 200 lost"] = [asyncio.run(lost_replies(2.0)), asyncio.run(lost_replies(None))]
    report["queue full"] = full_queue()
    report["what is no reply"] = asyncio.run(hostile())
    report = where("faults") | report
    publish(report, out)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
