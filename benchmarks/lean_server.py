"""The server of `benchmarks/pool.py`, in a process of its own: as little work a request as Python allows.

It opens two ports. The bare one is a `BareResponder`. The other answers `/generate` and `/v1/completions` like an
SGLang that holds every prompt, with four tokens a sample, and fetches whatever else is asked from a `FakeServer`. A
line on its standard input makes it print what it has done so far.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import sys
import time
from typing import Any

import httptools
import orjson
import uvloop

from ets_client.testing import BareResponder, FakeServer

JSON = {"Content-Type": "application/json"}
GENERATION = {b"/generate", b"/v1/completions"}
TOKENS = [101, 102, 103, 104]
HEAD = b"HTTP/1.1 200 OK\r\nserver: uvicorn\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


def sample(rid: str, tokens: list[int]) -> dict[str, Any]:
    """One sample as SGLang 0.5.18 writes it."""
    return {
        "text": "efgh"[: len(tokens)],
        "output_ids": tokens,
        "meta_info": {
            "id": rid, "finish_reason": {"type": "length", "length": len(tokens)}, "prompt_tokens": 512,
            "weight_version": "default", "num_retractions": 0, "cached_tokens": 511, "dp_rank": None,
            "completion_tokens": len(tokens), "e2e_latency": 0.51, "response_sent_to_client_ts": 1795391430.1,
        },
    }  # fmt: skip


COMPLETION = orjson.dumps(
    {
        "id": "cmpl-1", "object": "text_completion", "created": 1795391430, "model": "tiny",
        "choices": [{"index": 0, "text": "efgh", "logprobs": None, "finish_reason": "length", "matched_stop": None}],
        "usage": {"prompt_tokens": 512, "total_tokens": 516, "completion_tokens": 4},
    }
)  # fmt: skip


class Lean(asyncio.Protocol):
    """One client."""

    connections = 0
    served = 0

    def __init__(self, fake: FakeServer, bare: BareResponder) -> None:
        self._fake = fake
        self._bare = bare
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._body: list[bytes] = []

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        Lean.connections += 1

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._url, self._body = b"", []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        Lean.served += 1
        reply = self._reply(b"".join(self._body))
        wait = self._bare.wait_before_reply() if self._url in GENERATION else 0.0  # questions are answered at once
        self._bare.served += 1  # the draws of its jitter follow this
        if wait > 0:
            asyncio.get_running_loop().call_later(wait, self._transport.write, HEAD % len(reply) + reply)
        else:
            self._transport.write(HEAD % len(reply) + reply)

    def _reply(self, body: bytes) -> bytes:
        if self._url == b"/v1/completions":
            return COMPLETION
        if self._url != b"/generate":
            connection = http.client.HTTPConnection("127.0.0.1", self._fake.port)
            connection.request(self._parser.get_method().decode(), self._url.decode(), body, JSON)
            reply = connection.getresponse().read()
            connection.close()
            return reply
        asked = orjson.loads(body)
        pairs = zip(asked["rid"], asked["sampling_params"], strict=True)
        samples = [sample(rid, TOKENS[: params["max_new_tokens"]]) for rid, params in pairs]
        if asked.get("stream"):  # the first expand, of one sample
            return b"data: %b\n\ndata: [DONE]\n\n" % orjson.dumps(samples[0])
        return orjson.dumps(samples)


async def serve(delay: float, jitter: float) -> None:
    loop = asyncio.get_running_loop()
    body = orjson.dumps([sample("0" * 32, TOKENS)])
    with FakeServer() as fake:
        async with BareResponder(body, delay=delay, jitter=jitter, keep_alive_seconds=60) as bare:
            lean = await loop.create_server(lambda: Lean(fake, bare), "127.0.0.1", 0, backlog=4096)
            ports = {"bare": bare.port, "lean": lean.sockets[0].getsockname()[1]}
            sys.stdout.write(json.dumps(ports) + "\n")
            sys.stdout.flush()
            commands = asyncio.StreamReader()
            await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
            while await commands.readline():
                done = {
                    "cpu": time.process_time(),
                    "wall": time.perf_counter(),
                    "connections": bare.connections + Lean.connections,
                }
                sys.stdout.write(json.dumps(done) + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(float(sys.argv[1]), float(sys.argv[2])))
