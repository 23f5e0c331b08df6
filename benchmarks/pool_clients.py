"""The clients of `benchmarks/pool.py`; one of them runs in this process and tells what it took.

The parent writes a line to begin; the numbers come back as a line of JSON. Every client turns the same object into JSON
for every request and reads the JSON of every reply. With 0 connections a client has the limits that it has by default.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Send = Callable[[], Awaitable[object]]

PROMPT = list(range(1000, 1512))
PAYLOAD = {
    "input_ids": [PROMPT],
    "rid": ["0123456789abcdef0123456789abcdef"],
    "sampling_params": [{"max_new_tokens": 4, "temperature": 1.0}],
}
JSON = {"Content-Type": "application/json"}
KEEP_ALIVE_SECONDS = 60.0


@asynccontextmanager
async def pool(url: str, connections: int) -> AsyncIterator[Send]:
    from ets_client._transport.base import HttpRequest
    from ets_client._transport.default import DefaultTransport

    transport = DefaultTransport(connections=connections or 256, keep_alive_seconds=KEEP_ALIVE_SECONDS)

    async def send() -> object:
        reply = await transport.send(HttpRequest("POST", f"{url}/generate", JSON, orjson.dumps(PAYLOAD)))
        return orjson.loads(reply.body)

    yield send
    await transport.aclose()


@asynccontextmanager
async def aiohttp(url: str, connections: int) -> AsyncIterator[Send]:
    import aiohttp

    connector = aiohttp.TCPConnector(limit=connections or 100, keepalive_timeout=0.6 * KEEP_ALIVE_SECONDS)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def send() -> object:
            async with session.post(f"{url}/generate", data=orjson.dumps(PAYLOAD), headers=JSON) as reply:
                return orjson.loads(await reply.read())

        yield send


@asynccontextmanager
async def httpx_over(url: str, transport: Any) -> AsyncIterator[Send]:
    import httpx

    async with httpx.AsyncClient(transport=transport, timeout=None, trust_env=False) as client:

        async def send() -> object:
            reply = await client.post(f"{url}/generate", content=orjson.dumps(PAYLOAD), headers=JSON)
            return orjson.loads(reply.content)

        yield send


def limits_of(connections: int) -> Any:
    import httpx

    if not connections:
        return httpx.Limits(max_connections=100, max_keepalive_connections=20)
    return httpx.Limits(max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=36)


def httpx(url: str, connections: int) -> Any:
    import httpx

    return httpx_over(url, httpx.AsyncHTTPTransport(limits=limits_of(connections)))


def httpx_aiohttp(url: str, connections: int) -> Any:
    from httpx_aiohttp import AiohttpTransport

    return httpx_over(url, AiohttpTransport(limits=limits_of(connections)))


def httpx_pool(url: str, connections: int) -> Any:
    from ets_client._transport.httpx_pool import PoolTransport

    return httpx_over(url, PoolTransport(connections=connections or 256, keep_alive_seconds=KEEP_ALIVE_SECONDS))


@asynccontextmanager
async def openai(url: str, _: int) -> AsyncIterator[Send]:
    import openai

    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:

        async def send() -> object:
            return await client.completions.create(model="tiny", prompt=PROMPT, max_tokens=4)

        yield send


@asynccontextmanager
async def expand(url: str, connections: int, n: int) -> AsyncIterator[Send]:
    from ets_client import AsyncPolicyClient, SamplingParams

    sampling = SamplingParams(max_new_tokens=4)
    async with AsyncPolicyClient(url, "tiny", connections=connections or 256) as client:
        prefix = await client.prefix(PROMPT)

        async def send() -> object:
            return await client.expand(prefix, n, sampling)

        yield send


CLIENTS: dict[str, tuple[str, Callable[[str, int], Any]]] = {  # name -> port, client
    "ours, transport alone": ("bare", pool),
    "ours, expand(n=1)": ("lean", lambda url, connections: expand(url, connections, 1)),
    "ours, expand(n=8)": ("lean", lambda url, connections: expand(url, connections, 8)),
    "aiohttp + orjson": ("bare", aiohttp),
    "httpx over our pool": ("bare", httpx_pool),
    "httpx-aiohttp": ("bare", httpx_aiohttp),
    "httpx": ("bare", httpx),
    "openai-python": ("lean", openai),
}


async def closed_loop(send: Send, in_flight: int, seconds: float, most: int | None) -> list[float]:
    """Seconds of each request that was answered, with so many under way at all times."""
    took: list[float] = []
    left = most
    end = time.perf_counter() + seconds

    async def work() -> None:
        nonlocal left
        while (start := time.perf_counter()) < end and left != 0:
            if left is not None:
                left -= 1
            await send()
            took.append(time.perf_counter() - start)

    workers = [asyncio.create_task(work()) for _ in range(in_flight)]
    _, late = await asyncio.wait(workers, timeout=seconds + 2)  # a peer that has collapsed is not waited for
    for worker in late:
        worker.cancel()
    for worker in workers:
        with suppress(asyncio.CancelledError):
            await worker
    return took


async def measure(name: str, port: int, in_flight: int, seconds: float, most: int | None) -> None:
    _, client = CLIENTS[name]
    async with client(f"http://127.0.0.1:{port}", 0 if most else in_flight) as send:
        if not most:
            await closed_loop(send, in_flight, seconds / 2, None)  # connections are opened, caches are warm
        gc.collect()
        print("ready", flush=True)
        sys.stdin.readline()
        wall, cpu = time.perf_counter(), time.process_time()
        took = sorted(await closed_loop(send, in_flight, seconds, most))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        count = max(1, len(took))
        result = {
            "requests": len(took),
            "rate": len(took) / wall,
            "cpu_us": cpu / count * 1e6,
            "p50_ms": took[count // 2] * 1e3 if took else None,
            "p99_ms": took[count * 99 // 100] * 1e3 if took else None,
        }
        print(json.dumps(result), flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    _name, _port, _in_flight, _seconds, _most = sys.argv[1:]
    asyncio.run(measure(_name, int(_port), int(_in_flight), float(_seconds), int(_most) or None))
