"""Memory of 4,096 expands in flight: `python benchmarks/memory.py [OUT.json]`.

The client runs in a process of its own, against the lean server of `pool.py` in another, which answers after eight
seconds. Looked at: with the client open and the prefixes made (idle); with all expands on the wire; right after the
last reply; when the idle connections are closed; and all of it once more. Then the client forgets what it knows of the
server's cache (`flush_cache`), and glibc is asked to give back what it holds (`malloc_trim`, which the client itself
never calls): what is left of the peak then was held by neither. Each expand has a prefix of 512 ids of its own.

The same requests are then sent by three clients that keep nothing of a reply, each in a process of its own: a protocol
of asyncio's for each; the client's own transport, alone; aiohttp. What is left of the first is
CPython's allocator's and asyncio's, whoever the client is: nobody who uses asyncio comes below it.

Of each state: resident memory, as the kernel says; blocks that are in use, as CPython's allocator says; and where the
difference is: arenas of CPython's (1 MB each, given back only when nothing lives in one), their pools that are empty,
and what glibc holds though it is free.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import re
import subprocess
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from machine import publish, resident_mb, where

IN_FLIGHT = 4096
PROMPT_TOKENS = 512
WAVES = 2
DELAY = 8.0
QUIET_SECONDS = 4.0  # idle connections are closed after 60 % of a server's keep-alive time of 5 s
LIBC = ctypes.CDLL(None)
OURS = "ets_client"
Send = Callable[[bytes], Awaitable[bytes]]
FIELDS = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")


class Glibc(ctypes.Structure):
    """What `mallinfo2` tells."""

    _fields_ = [(name, ctypes.c_size_t) for name in FIELDS]


def now() -> dict[str, float]:
    """Megabytes, and live blocks of Python objects."""
    gc.collect()
    found = {"MB": round(resident_mb(), 1), "blocks": sys.getallocatedblocks()}
    return found | arenas() | glibc()


def arenas() -> dict[str, float]:
    """CPython writes this to its standard error only."""
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            sys._debugmallocstats()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        file.seek(0)
        text = file.read().decode()
    count = re.search(r"arenas allocated current *= *([\d,]+)", text)
    empty = re.search(r"unused pools \* \d+ bytes *= *([\d,]+)", text)
    if count is None or empty is None:  # another allocator
        return {}
    return {"arenas": int(count[1].replace(",", "")), "empty pools, MB": megabytes(int(empty[1].replace(",", "")))}


def glibc() -> dict[str, float]:
    try:
        ask = LIBC.mallinfo2
    except AttributeError:  # another C library
        return {}
    ask.restype = Glibc
    return {"free in glibc, MB": megabytes(ask().fordblks)}


def megabytes(size: int) -> float:
    return round(size / 1e6, 1)


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
            found[f"right after wave {wave}"] = now()
            await asyncio.sleep(QUIET_SECONDS)
            found[f"after wave {wave}"] = now()
        await client.flush_cache()
        await asyncio.sleep(QUIET_SECONDS)
        found["cache forgotten"] = now()
        if hasattr(LIBC, "malloc_trim"):
            LIBC.malloc_trim(0)
            found["trimmed"] = now()
        print(json.dumps(found))


class OneReply(asyncio.BufferedProtocol):
    """Sends a request, waits for one read of reply, and closes. What it reads with it shares with all others."""

    buffer = memoryview(bytearray(64 * 1024))

    def __init__(self, request: bytes) -> None:
        self._request = request
        self.reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)
        del self._request

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.reply.set_result(bytes(self.buffer[:nbytes]))
        self._transport.close()


@asynccontextmanager
async def asyncio_alone(port: int) -> AsyncIterator[Send]:
    loop = asyncio.get_running_loop()
    head = b"POST /generate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"

    async def send(body: bytes) -> bytes:
        _, protocol = await loop.create_connection(lambda: OneReply(head % len(body) + body), "127.0.0.1", port)
        return (await protocol.reply).partition(b"\r\n\r\n")[2]

    yield send


@asynccontextmanager
async def transport_alone(port: int) -> AsyncIterator[Send]:
    from ets_client._transport.base import HttpRequest
    from ets_client._transport.default import DefaultTransport

    transport = DefaultTransport(connections=IN_FLIGHT, keep_alive_seconds=0.6 * 5)

    async def send(body: bytes) -> bytes:
        request = HttpRequest("POST", f"http://127.0.0.1:{port}/generate", {"Content-Type": "application/json"}, body)
        return (await transport.send(request)).body

    yield send
    await transport.aclose()


@asynccontextmanager
async def by_aiohttp(port: int) -> AsyncIterator[Send]:
    import aiohttp

    url = f"http://127.0.0.1:{port}/generate"
    timeout = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT, keepalive_timeout=0.6 * 5)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def send(body: bytes) -> bytes:
            async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as reply:
                return await reply.read()

        yield send


async def measure_by_hand(port: int, client: Callable[[int], AbstractAsyncContextManager[Send]], codec: str) -> None:
    write, read = CODECS[codec]()
    rest = tuple(range(1000, 1000 + PROMPT_TOKENS - 2))
    prompts = [(*divmod(number, 2048), *rest) for number in range(IN_FLIGHT)]
    sampling = [{"max_new_tokens": 4, "temperature": 1.0}]
    async with client(port) as send:

        async def ask(prompt: tuple[int, ...]) -> None:
            body = {"input_ids": [prompt], "rid": [uuid.uuid4().hex], "sampling_params": sampling}
            read(await send(write(body)))

        await ask(prompts[0])
        found = {"idle": now()}
        for wave in range(1, WAVES + 1):
            sent = [asyncio.create_task(ask(prompt)) for prompt in prompts]
            await asyncio.sleep(0.8 * DELAY)
            found[f"in flight, wave {wave}"] = now() | {"requests": sum(not each.done() for each in sent)}
            await asyncio.gather(*sent)
            del sent
            found[f"right after wave {wave}"] = now()
            await asyncio.sleep(1.75 * QUIET_SECONDS)  # aiohttp looks every 3 s for what has been idle for 3 s
            found[f"after wave {wave}"] = now()
        if hasattr(LIBC, "malloc_trim"):
            LIBC.malloc_trim(0)
            found["trimmed"] = now()
        print(json.dumps(found))


def by_msgspec() -> tuple[Callable[[object], bytes], Callable[[bytes], object]]:
    import msgspec

    return msgspec.json.encode, msgspec.json.decode


def by_orjson() -> tuple[Callable[[object], bytes], Callable[[bytes], object]]:
    import orjson

    return orjson.dumps, orjson.loads


CODECS = {"msgspec": by_msgspec, "orjson": by_orjson}
BY_HAND = {
    "asyncio + msgspec": asyncio_alone,
    "our transport + msgspec": transport_alone,
    "aiohttp + orjson": by_aiohttp,
}


def run(name: str) -> dict[str, dict[str, float]]:
    here = Path(__file__).parent
    server = [sys.executable, str(here / "lean_server.py"), str(DELAY), "0"]
    with subprocess.Popen(server, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = json.loads(process.stdout.readline())["lean"]
            client = [sys.executable, __file__, "--client", name, str(port)]
            return dict(json.loads(subprocess.run(client, check=True, stdout=subprocess.PIPE, text=True).stdout))
        finally:
            process.kill()


def summary(found: dict[str, dict[str, float]]) -> dict[str, object]:
    idle = found["idle"]
    after = [name for name in found if name != "idle" and not name.startswith("in flight")]
    return {
        "MB above idle": {
            f"{name} {wave}": round(found[f"{name} {wave}"]["MB"] - idle["MB"], 1)
            for wave in range(1, WAVES + 1)
            for name in ("in flight, wave", "after wave")
        },
        "over idle": {
            name: {what: round(found[name][what] / idle[what], 3) for what in ("MB", "blocks")} for name in after
        },
        "states": found,
    }


def main(out: str | None) -> None:
    ours = summary(run(OURS))
    by_hand = {name: summary(run(name)) for name in BY_HAND}
    sizes = {"expands": IN_FLIGHT, "prompt tokens": PROMPT_TOKENS}
    report = where("memory") | sizes | ours | by_hand
    publish(report, out)


def measured(name: str, port: int) -> Coroutine[None, None, None]:
    return measure(port) if name == OURS else measure_by_hand(port, BY_HAND[name], name.split()[-1])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--client"]:
        asyncio.run(measured(sys.argv[2], int(sys.argv[3])))
    else:
        main(sys.argv[1] if len(sys.argv) > 1 else None)
