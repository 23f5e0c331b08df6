from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ets_client.testing import FakeServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from ets_client.testing import Version

VERSIONS: tuple[Version, ...] = ("0.5.14", "0.5.18", "0.5.23")
LONG = {"max_new_tokens": 500, "ignore_eos": True}


class Client:
    """A plain HTTP client of one server."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self.http = httpx.AsyncClient(base_url=server.base_url, timeout=60)

    async def generate(self, ids: Any = (10, 11, 12), **fields: Any) -> httpx.Response:
        """One call; whatever is no field of the request is a sampling parameter."""
        top = {name: fields.pop(name) for name in list(fields) if name in _TOP}
        body = {"input_ids": ids, **top}
        body.setdefault("sampling_params", fields)
        return await self.http.post("/generate", json=body)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.http.get(path, headers=headers)

    async def post(self, path: str, **fields: Any) -> httpx.Response:
        return await self.http.post(path, json=fields)

    async def events(self, ids: Any = (10, 11, 12), **fields: Any) -> list[Any]:
        """The events of a stream."""
        text = (await self.generate(ids, stream=True, **fields)).text
        frames = [frame.removeprefix("data: ") for frame in text.split("\n\n") if frame]
        assert frames.pop() == "[DONE]"
        return [json.loads(frame) for frame in frames]


_TOP = {
    "text", "rid", "stream", "sampling_params", "return_logprob", "logprob_start_len", "top_logprobs_num", "extra_key",
    "token_ids_logprob", "return_text_in_logprobs", "return_prompt_token_ids", "cache_salt", "background",
    "input_embeds", "session_params", "routed_dp_rank",
}  # fmt: skip


@asynccontextmanager
async def open_client(*arguments: Any, **named: Any) -> AsyncIterator[Client]:
    """A running server, and a client of it."""
    async with FakeServer(*arguments, **named) as server:
        client = Client(server)
        try:
            yield client
        finally:
            await client.http.aclose()


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with open_client() as opened:
        yield opened


async def eventually(condition: Callable[[], bool]) -> None:
    """Let the loop run until a condition holds."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - any condition, not only one that somebody announces
            await asyncio.sleep(0)


async def exchange(port: int, *pieces: bytes) -> bytes:
    """Send bytes in pieces and read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    try:
        return await reader.read()
    finally:
        writer.close()
