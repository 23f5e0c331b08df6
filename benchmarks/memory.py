"""Memory of 4,096 expands in flight: `python benchmarks/memory.py [OUT.json]`.

The client runs in a process of its own, against the lean server of `pool.py` in another, which answers after ten
seconds. Resident memory is read from the kernel and live blocks from CPython's allocator: with the client open and the
prefixes made (idle), with all expands on the wire, and when they have ended and the idle connections are closed; then
all of it once more. Each expand has a prefix of 512 ids of its own.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

IN_FLIGHT = 4096
PROMPT_TOKENS = 512
WAVES = 2
DELAY = 10.0
QUIET_SECONDS = 4.0  # idle connections are closed after 60 % of a server's keep-alive time of 5 s


def now() -> dict[str, float]:
    """Resident megabytes, and live blocks of Python objects."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return {"MB": round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1), "blocks": sys.getallocatedblocks()}


async def measure(port: int) -> None:
    from ets_client import AsyncPolicyClient, SamplingParams

    sampling = SamplingParams(max_new_tokens=4)
    async with AsyncPolicyClient(f"http://127.0.0.1:{port}", "tiny", connections=IN_FLIGHT) as client:
        rest = range(1000, 1000 + PROMPT_TOKENS - 2)
        prefixes = [await client.prefix([*divmod(number, 2048), *rest]) for number in range(IN_FLIGHT)]
        await client.expand(prefixes[0], 1, sampling)  # what is loaded when it is first needed is loaded
        found = {"idle": now()}
        for wave in range(1, WAVES + 1):
            opened = client.stats.connections_opened - client.stats.connections_idle
            expands = [asyncio.create_task(client.expand(prefix, 1, sampling)) for prefix in prefixes]
            while client.stats.connections_opened < opened + IN_FLIGHT and not any(each.done() for each in expands):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.1)
            await asyncio.sleep(0.5)  # the last of them is written
            found[f"in flight, wave {wave}"] = now() | {"expands": sum(not each.done() for each in expands)}
            await asyncio.gather(*expands)
            del expands
            await asyncio.sleep(QUIET_SECONDS)
            found[f"after wave {wave}"] = now()
        print(json.dumps(found))


def run() -> dict[str, dict[str, float]]:
    here = Path(__file__).parent
    server = [sys.executable, str(here / "lean_server.py"), str(DELAY), "0"]
    with subprocess.Popen(server, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = json.loads(process.stdout.readline())["lean"]
            client = [sys.executable, __file__, "--client", str(port)]
            return dict(json.loads(subprocess.run(client, check=True, stdout=subprocess.PIPE, text=True).stdout))
        finally:
            process.kill()


def main(out: str | None) -> None:
    found = run()
    idle, last = found["idle"], found[f"after wave {WAVES}"]
    report = {
        "benchmark": "memory",
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, CPython {platform.python_version()}",
        "expands": IN_FLIGHT,
        "prompt tokens": PROMPT_TOKENS,
        "MB above idle": {
            f"wave {wave}": round(found[f"in flight, wave {wave}"]["MB"] - idle["MB"], 1)
            for wave in range(1, WAVES + 1)
        },
        "after, over idle": {name: round(last[name] / idle[name], 3) for name in idle},
        "states": found,
    }
    print(json.dumps(report, indent=1))
    if out is not None:
        Path(out).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--client"]:
        asyncio.run(measure(int(sys.argv[2])))
    else:
        main(sys.argv[1] if len(sys.argv) > 1 else None)
