"""Written by hand on aiohttp and orjson: no limits, no retries, no errors but the first."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson

if TYPE_CHECKING:
    from typing import Self

    from .shape import Shape

_JSON = {"Content-Type": "application/json"}


class Plain:
    """A session, and replies read by orjson."""

    takes_text = False

    def __init__(self, base: str, shape: Shape) -> None:
        self.base, self.shape = base, shape

    async def __aenter__(self) -> Self:
        self.http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=3), timeout=aiohttp.ClientTimeout(total=600)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.close()

    async def post(self, body: dict[str, Any]) -> list[Any]:
        async with self.http.post(self.base + "/generate", data=orjson.dumps(body), headers=_JSON) as reply:
            found = orjson.loads(await reply.read())
        if isinstance(found, dict) and "error" in found:
            raise RuntimeError(f"the server refused: {found['error']}")
        return found if isinstance(found, list) else [found]


def sampling(length: int, **more: Any) -> dict[str, Any]:
    return {"max_new_tokens": length, "ignore_eos": True, **more}


class LeaderAndBatch(Plain):
    """The floor: one sample computes a cold prefix, then all others go as one batch of id lists."""

    async def expand(self, ids: list[int], n: int, *, is_cold: bool, lengths: list[int]) -> list[list[int]]:
        found: list[Any] = []
        if is_cold:
            body = {"input_ids": ids, "sampling_params": sampling(lengths[0]), "rid": uuid.uuid4().hex}
            found = await self.post(body)
        left = lengths[len(found) : n]
        body = {
            "input_ids": [ids] * len(left),
            "rid": [uuid.uuid4().hex for _ in left],
            "sampling_params": [sampling(length) for length in left],
        }
        return [ids + one["output_ids"] for one in [*found, *await self.post(body)]]


class IdsWithN(Plain):
    async def expand(self, ids: list[int], n: int, *, lengths: list[int], **_: bool) -> list[list[int]]:
        found = await self.post({"input_ids": ids, "sampling_params": sampling(lengths[0], n=n)})
        return [ids + one["output_ids"] for one in found]


class TextWithN(Plain):
    takes_text = True

    async def expand(self, text: str, n: int, *, lengths: list[int], **_: bool) -> list[str]:
        found = await self.post({"text": text, "sampling_params": sampling(lengths[0], n=n)})
        return [text + one["text"] for one in found]


class Ceiling(Plain):
    """No tree: as many sequences as the trees are wide, on roots that are warm, decoded to the same depth in one batch.

    What the server can do when no client is in its way.
    """

    async def run(self, roots: list[list[int]]) -> None:
        shape = self.shape
        many = [root for root in roots for _ in range(shape.width)]
        body = {"input_ids": many, "sampling_params": sampling(shape.step * (shape.depth + 1))}
        await self.post(body)

    async def warm(self, roots: list[list[int]]) -> None:
        await self.post({"input_ids": roots, "sampling_params": sampling(1)})
