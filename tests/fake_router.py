"""SGLang's two routers, imitated over real sockets in front of fake servers.

Written after the replies in ``tests/contract/recorded/router/``, which ``tests/contract/test_router_recorded.py``
compares it with.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["FakeRouter", "Seen"]

_NOT_FORWARDED = ("logit_bias", "stop_regex", "spaces_between_special_tokens", "stream_interval")
_SCALARS = {"rid": "a string", "extra_key": "a string"}
_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Seen:
    """One request to ``/generate``: what came, which worker got it, and whether the client waited for the reply."""

    body: dict[str, Any]
    headers: dict[str, str]
    worker: str
    given_up: asyncio.Event = field(default_factory=asyncio.Event)


class FakeRouter:
    """A router with the policy ``manual``: requests with one routing key go to one worker.

    Attributes:
        kind: which of the two.
        seen: requests to ``/generate``, in order.
        paths: (method, path) of all requests, in order.
        tokenizers: names of models whose text it turns into ids, which it lets a worker do.
        key: needed by all but a few paths, when there is one.
        has_open_control: whether ``/workers`` and ``/v1/tokenizers`` are for everybody with the key.
    """

    def __init__(self, kind: Literal["sglang-router", "smg"], *workers: str, tokenizers: tuple[str, ...] = ()) -> None:
        self.kind = kind
        self.workers = workers
        self.tokenizers = tokenizers
        self.seen: list[Seen] = []
        self.paths: list[tuple[str, str]] = []
        self.has_open_control = True
        self._homes: dict[str, str] = {}
        self._server: asyncio.Server | None = None
        self._clients: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def base_url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._clients.values():
            writer.close()
        await asyncio.gather(*self._clients)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients[task] = writer
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):  # the client is gone
                while True:
                    await self._one(reader, writer)
        finally:
            del self._clients[task]
            await _close(writer)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, path, headers, body = await _read_request(reader)
        path = path.partition("?")[0]
        self.paths.append((method, path))
        if path == "/generate":
            await self._generate(headers, body, reader, writer)
            return
        status, kind, reply = await self._answer(method, path, body)
        writer.write(_head(status, kind, len(reply)) + reply)
        await writer.drain()

    async def _answer(self, method: str, path: str, body: bytes) -> tuple[int, str, bytes]:
        first = self.workers[0] if self.workers else None
        if path == "/readiness":
            count = len(self.workers)
            if not count:
                return _json(503, {"status": "not ready", "reason": "insufficient healthy workers"})
            return _json(200, {"status": "ready", "healthy_workers": count, "total_workers": count})
        if path in {"/workers", "/v1/tokenizers"} and not self.has_open_control:
            return 401, "", b""
        if path == "/workers":
            entries = [await self._entry(worker) for worker in self.workers]
            return _json(200, {"workers": entries, "total": len(entries), "stats": {"regular_count": len(entries)}})
        if path == "/v1/tokenizers" and method == "GET":
            known = [{"id": name, "name": name, "source": name, "vocab_size": 2048} for name in self.tokenizers]
            return _json(200, {"tokenizers": known})
        if path == "/get_server_info" and self.kind == "sglang-router":
            counts = {"router_manager": True, "routers_count": 1, "workers_count": len(self.workers)}
            return 200, _TEXT, json.dumps(counts).encode()
        if path == "/health_generate" and self.kind == "sglang-router" and first is not None:
            return 200, _TEXT, b"At least one router has healthy workers"
        if path in {"/get_model_info", "/get_server_info", "/health_generate", "/engine_metrics", "/flush_cache"}:
            return await self._forward(first, method, path, body)
        if path in {"/v1/tokenize", "/v1/detokenize"}:
            return await self._tokenize(first, path, json.loads(body))
        return self._unknown(method, path)

    async def _forward(self, worker: str | None, method: str, path: str, body: bytes) -> tuple[int, str, bytes]:
        if worker is None:
            return _json(503, {"error": {"code": "no_workers", "message": "No workers are available"}})
        theirs = {"/get_model_info": "/model_info", "/get_server_info": "/server_info", "/engine_metrics": "/metrics/"}
        status, kind, reply = await _ask(worker, method, theirs.get(path, path), body)
        if path == "/engine_metrics":
            if status != 200:
                return 500, _TEXT, b"All backend requests failed"
            if self.kind == "sglang-router":
                reply = reply.replace(b"sglang:", b"sglang_")
        if path == "/flush_cache":
            kind, reply = _JSON, json.dumps({"status": "success", "workers_flushed": len(self.workers)}).encode()
        return status, kind, reply

    async def _entry(self, worker: str) -> dict[str, Any]:
        model = json.loads((await _ask(worker, "GET", "/model_info"))[2])
        server = json.loads((await _ask(worker, "GET", "/server_info"))[2])
        told = {"model_path": model["model_path"], "dp_size": "1", "served_model_name": model["model_path"]}
        entry: dict[str, Any] = {"id": worker, "url": worker, "model_id": model["model_path"], "is_healthy": True}
        if self.kind == "sglang-router":
            return entry | {"connection_mode": "HTTP", "metadata": told}
        told |= {"version": server["version"], "max_total_tokens": str(server["max_total_num_tokens"])}
        told |= {"max_running_requests": str(server["max_running_requests"])}
        models = [{"id": model["model_path"], "context_length": server["context_length"]}]
        return entry | {"connection_mode": "http", "runtime_type": "sglang", "labels": told, "models": models}

    async def _tokenize(self, worker: str | None, path: str, body: dict[str, Any]) -> tuple[int, str, bytes]:
        if "model" not in body or (path == "/v1/tokenize" and "prompt" not in body):
            return 422, _TEXT, b"Failed to deserialize the JSON body into the target type: missing field"
        if worker is None or body["model"] not in self.tokenizers:
            words = "No tokenizers available. Use POST /v1/tokenizers to add one."
            return _json(400, {"error": {"message": words, "type": "tokenizer_not_found"}})
        theirs = body | ({"add_special_tokens": False} if path == "/v1/tokenize" else {})  # whatever was asked for
        return await _ask(worker, "POST", path, json.dumps(theirs).encode())

    def _unknown(self, method: str, path: str) -> tuple[int, str, bytes]:
        if self.kind == "sglang-router":
            return 404, "", b""
        words = f"Invalid URL ({method} {path})"
        return _json(404, {"error": {"type": "invalid_request_error", "code": "unknown_url", "message": words}})

    async def _generate(
        self, headers: dict[str, str], raw: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        body = json.loads(raw)
        if (refusal := _refusal(body)) is not None:
            reply = b"Failed to deserialize the JSON body into the target type: " + refusal.encode()
            writer.write(_head(422, _TEXT, len(reply)) + reply)
            return
        key = headers.get("x-smg-routing-key", "")
        worker = self._homes.setdefault(key, self.workers[len(self._homes) % len(self.workers)])
        seen = Seen(body, headers, worker)
        self.seen.append(seen)
        sampling = {name: value for name, value in body["sampling_params"].items() if name not in _NOT_FORWARDED}
        parts = urlsplit(worker)
        up_reader, up_writer = await asyncio.open_connection(parts.hostname, parts.port)
        payload = json.dumps(body | {"sampling_params": sampling}).encode()
        up_writer.write(_request("POST", "/generate", payload))
        copying = asyncio.ensure_future(_copy(up_reader, writer))
        leaving = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait([copying, leaving], return_when=asyncio.FIRST_COMPLETED)
            if leaving.done() or copying.exception() is not None:  # the client left, or could not be written to
                seen.given_up.set()
        finally:
            for task in (copying, leaving):
                task.cancel()
            await asyncio.gather(copying, leaving, return_exceptions=True)
            await _close(up_writer)
            await _close(writer)


def _refusal(body: dict[str, Any]) -> str | None:
    for name, wanted in _SCALARS.items():
        if isinstance(body.get(name), list):
            return f"{name}: invalid type: sequence, expected {wanted} at line 1 column 9"
    if isinstance(body.get("sampling_params"), list):
        return "sampling_params[0]: invalid type: map, expected f32 at line 1 column 9"
    if any(isinstance(each, list) for each in body.get("token_ids_logprob") or ()):
        return "token_ids_logprob[0]: invalid type: sequence, expected u32 at line 1 column 9"
    return None


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, path, _ = first.split()
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return method, path, headers, await reader.readexactly(int(headers.get("content-length", 0)))


async def _ask(worker: str, method: str, path: str, body: bytes = b"") -> tuple[int, str, bytes]:
    parts = urlsplit(worker)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(_request(method, path, body))
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length, kind = (re.search(rf"(?im)^{name}: *(.+?)\r$", head) for name in ("content-length", "content-type"))
        reply = await reader.readexactly(int(length[1])) if length else b""
        return int(head.split()[1]), kind[1] if kind else "", reply
    finally:
        await _close(writer)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


def _request(method: str, path: str, body: bytes) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nhost: w\r\ncontent-type: application/json\r\nconnection: close\r\n"
    return head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body


def _head(status: int, kind: str, length: int) -> bytes:
    kind_line = f"content-type: {kind}\r\n" if kind else ""
    return f"HTTP/1.1 {status} X\r\n{kind_line}content-length: {length}\r\n\r\n".encode()


def _json(status: int, body: object) -> tuple[int, str, bytes]:
    return status, _JSON, json.dumps(body).encode()
