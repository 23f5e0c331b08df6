"""What the tests share: small builders, a transport that follows a script, and an SGLang that answers through respx."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import TYPE_CHECKING, Any

import httpx

from ets_client import Origin, Prefix, RetryPolicy, ServerInfo
from ets_client._core.shadow import Shadow
from ets_client._core.shadow_rules import CacheRules
from ets_client._engine.address import FixedAddress
from ets_client._engine.caller import Caller
from ets_client._engine.server import Server
from ets_client._engine.server_cache import ServerCache
from ets_client._transport.base import HttpReply, HttpRequest, HttpStream, TransportStats

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from ets_client import AsyncPolicyClient
    from ets_client._engine.address import Address
    from ets_client.events import ClientEvent

    Entry = HttpReply | Exception | Callable[[HttpRequest], Awaitable[HttpReply]]

ORIGIN = Origin("tok")
SERVER_INFO: dict[str, Any] = {
    "version": "0.5.18",
    "context_length": None,
    "max_req_input_len": 2042,
    "max_total_num_tokens": 65536,
    "page_size": 1,
    "schedule_policy": "lpm",
    "enable_metrics": True,
    "api_key": "sk-server-secret",
    "internal_states": [{"memory_usage": {}}],
}
MODEL_INFO: dict[str, Any] = {"model_path": "/models/tiny", "tokenizer_path": "/models/tok", "is_generation": True}
MODELS: dict[str, Any] = {"object": "list", "data": [{"id": "tiny", "max_model_len": 2048}]}
METRICS = """\
# HELP sglang:generation_tokens_total Number of generation tokens processed.
# TYPE sglang:generation_tokens_total counter
sglang:generation_tokens_total{model_name="tiny"} 30.0
sglang:realtime_tokens_total{mode="prefill_compute",model_name="tiny",tp_rank="0"} 100.0
sglang:realtime_tokens_total{mode="prefill_compute",model_name="tiny",tp_rank="1"} 100.0
sglang:realtime_tokens_total{mode="prefill_cache",model_name="tiny",tp_rank="0"} 7.0
sglang:realtime_tokens_total{mode="decode",model_name="tiny",tp_rank="0"} 30.0
sglang:num_running_reqs{model_name="tiny",tp_rank="0"} 2.0
sglang:num_running_reqs{model_name="tiny",tp_rank="1"} 2.0
sglang:num_queue_reqs{model_name="tiny",tp_rank="0"} 1.0
"""
LONG_TOKENS = {1: "<eos>", 300: "\n\n", 301: ".\n\nNext", 302: ".\n\n"}


def server_info(**changes: Any) -> ServerInfo:
    """Facts of a server with round numbers."""
    facts: dict[str, Any] = {
        "version": "0.5.18",
        "model_path": "m",
        "tokenizer_path": "tok",
        "context_length": 1000,
        "max_input_tokens": 995,
        "max_total_tokens": 5000,
        "page_size": 1,
        "schedule_policy": "lpm",
        "has_metrics": True,
        "is_deterministic": False,
        "has_radix_cache": True,
        "streams_increments": False,
        "weight_version": "default",
    }
    return ServerInfo(**(facts | changes))


def root(ids: Sequence[int], *, namespace: str | None = None) -> Prefix:
    """A root that was not made by a client."""
    return Prefix(ids, text_of(ids), origin=Origin("tok", namespace))


def text_of(ids: Sequence[int]) -> str:
    """The text of ids: a character each, but for a few longer tokens."""
    return "".join(LONG_TOKENS.get(token) or chr(token) for token in ids)


def sample(
    rid: str, ids: Sequence[int] = (97, 300), finish: dict[str, Any] | None = None, prompt: int = 0, **meta: Any
) -> dict[str, Any]:
    """One element of a reply of ``/generate``; by default a step that ends at a blank line."""
    finish = {"type": "stop", "matched": "\n\n"} if finish is None else finish
    text = text_of(ids)
    if finish["type"] == "stop" and isinstance(finish.get("matched"), str):
        text = text.partition(finish["matched"])[0]
    counts = {"prompt_tokens": prompt, "cached_tokens": max(0, prompt - 1), "completion_tokens": len(ids)}
    return {"text": text, "output_ids": list(ids), "meta_info": {"id": rid, "finish_reason": finish, **counts, **meta}}


async def eventually(condition: Callable[[], bool]) -> None:
    """Let other tasks run until the condition holds."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - any condition, not only one that somebody announces
            await asyncio.sleep(0)


async def expanded(client: AsyncPolicyClient, root: Prefix, n: int, *, streams: bool) -> int:
    """How many branches an expand gave, as one reply or as a stream."""
    if not streams:
        return len(await client.expand(root, n))
    async with client.expand_iter(root, n) as stream:
        return len([branch async for branch in stream])


class Clock:
    """The running loop's clock, which can be put forward: no test waits for a deadline."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._real = loop.time
        self._ahead = 0.0
        loop.time = self._now  # type: ignore[method-assign]

    def _now(self) -> float:
        return self._real() + self._ahead

    async def jump(self, seconds: float, when: Callable[[], bool]) -> None:
        """Put the clock forward as soon as the condition holds."""
        await eventually(when)
        self._ahead += seconds


class Naps:
    """A sleep that takes no time, or lasts until ``end``, and remembers how long it should have been."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.end: asyncio.Event | None = None

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        if self.end is not None:
            await self.end.wait()


def events(*bodies: object, is_done: bool = True) -> bytes:
    """The bytes of a stream of these events."""
    payloads = [body if isinstance(body, bytes) else json.dumps(body).encode() for body in bodies]
    return b"".join(b"data: %b\n\n" % payload for payload in [*payloads, *([b"[DONE]"] if is_done else [])])


def reply(body: object = None, status: int = 200) -> HttpReply:
    """A reply of JSON, or of the bytes given."""
    return HttpReply(status, body if isinstance(body, bytes) else json.dumps(body).encode())


class FakeTransport:
    """Answers requests by a script, in order; aborts are answered besides it.

    An entry is a reply, an exception to raise, or a function that makes the reply. A script that is over is an error.
    """

    def __init__(self, *script: Entry) -> None:
        self.script = list(script)
        self.requests: list[HttpRequest] = []
        self.aborts: list[HttpRequest] = []
        self.stream_script: list[FakeStream] = []  # streams to open instead of replies of ``script``
        self.streams: list[FakeStream] = []
        self.abort_script: list[Entry] = []  # like ``script``; what is not in it is answered with 200
        self.answers_probes = False
        self.piece_bytes = 1  # of streams made of replies of ``script``
        self.probe_script: list[Entry] = []  # likewise
        self.probes = 0
        self.is_closed = False

    @property
    def aborted(self) -> list[str]:
        """Request ids that were aborted."""
        return [json.loads(request.body)["rid"] for request in self.aborts]

    def body(self, place: int = -1) -> Any:
        """The JSON of a request."""
        return json.loads(self.requests[place].body)

    async def send(self, request: HttpRequest) -> HttpReply:
        await asyncio.sleep(0)
        if request.on_sent is not None:
            request.on_sent()
        if request.url.endswith("/abort_request"):
            self.aborts.append(request)
            entry = self.abort_script.pop(0) if self.abort_script else HttpReply(200, b"")
        elif self.answers_probes and request.lane == "control" and request.url.endswith("/model_info"):
            self.probes += 1
            entry = self.probe_script.pop(0) if self.probe_script else reply(MODEL_INFO)
        else:
            self.requests.append(request)
            entry = self.script.pop(0)
        if isinstance(entry, Exception):
            raise entry
        return entry if isinstance(entry, HttpReply) else await entry(request)

    async def open(self, request: HttpRequest) -> HttpStream:
        if self.stream_script:
            if request.on_sent is not None:
                request.on_sent()
            self.requests.append(request)
            self.streams.append(self.stream_script.pop(0))
        else:
            whole = await self.send(request)
            size = self.piece_bytes
            pieces = (whole.body[at : at + size] for at in range(0, len(whole.body), size))
            self.streams.append(FakeStream(*pieces, status=whole.status))
        return self.streams[-1]

    def stats(self) -> TransportStats:
        return TransportStats(requests=len(self.requests))

    async def aclose(self) -> None:
        self.is_closed = True


class FakeStream:
    """A reply that comes in these pieces; it waits at an event, and an exception breaks it."""

    def __init__(self, *pieces: bytes | asyncio.Event | Exception, status: int = 200) -> None:
        self.pieces = pieces
        self.status = status
        self.headers: dict[str, str] = {}
        self.read = 0  # pieces that were taken
        self.is_closed = False
        self.is_awaited = False
        self._left = deque(pieces)

    async def piece(self) -> bytes | None:
        while self._left:
            await asyncio.sleep(0)
            piece = self._left[0]
            if isinstance(piece, Exception):
                self._left.popleft()
                raise piece
            if isinstance(piece, asyncio.Event):
                self.is_awaited = True
                await piece.wait()
                self._left.popleft()
            else:
                self.read += 1
                self._left.popleft()
                return piece
        return None

    async def chunks(self) -> AsyncIterator[bytes]:
        while (piece := await self.piece()) is not None:
            yield piece

    async def aclose(self) -> None:
        self.is_closed = True


class Rig:
    """A caller with everything around it made up; ``script`` is the transport's."""

    def __init__(
        self,
        *script: Entry,
        policy: RetryPolicy | None = None,
        jitter: float = 0.5,
        address: Address | None = None,
        has_answered: bool = False,
    ) -> None:
        self.transport = FakeTransport(*script)
        self.naps = Naps()
        self.losses = 0
        self.events: list[ClientEvent] = []
        self.server = Server(
            self.transport,
            address or FixedAddress("http://server", None),
            policy or RetryPolicy(),
            jitter=lambda: jitter,
            sleep=self.naps,
            on_gone=self._lose,
            observer=self.events.append,
        )
        self.server.gate.has_answered = self.transport.answers_probes = has_answered
        self.server.aborter.again_after = 0.0  # the transport reads each request before its abort
        self.caller = Caller(self.server)
        self.cache = ServerCache(Shadow(CacheRules(100_000)), self.caller.counters, self.caller.seconds_of_prefill)

    def _lose(self) -> None:
        self.losses += 1
        self.cache.clear()


async def never(request: HttpRequest) -> HttpReply:
    """A reply that does not come."""
    await asyncio.Event().wait()
    raise AssertionError


class FakeServer:
    """SGLang's endpoints as one respx side effect. Attributes may be changed while it runs."""

    def __init__(self) -> None:
        self.info = dict(SERVER_INFO)
        self.model_info = dict(MODEL_INFO)
        self.has_chat_template = True
        self.overrides: dict[str, list[httpx.Response | Exception]] = {}  # path -> what comes before normal answers
        self.answer: Callable[[str, dict[str, Any], int], dict[str, Any]] = lambda rid, _, prompt: sample(
            rid, prompt=prompt
        )
        self.open = asyncio.Event()  # while it is not set, /generate does not answer
        self.open.set()
        self.requests: list[httpx.Request] = []
        self.dropped: set[str] = set()  # rids of requests that were given up while they ran

    def bodies(self, path: str) -> list[Any]:
        """The JSON bodies sent to a path, in order."""
        return [json.loads(request.content) for request in self.requests if request.url.path == path]

    @property
    def prefills(self) -> list[Any]:
        """Bodies of the requests that only warmed a prefix."""
        return [body for body in self.bodies("/generate") if body["sampling_params"][0]["max_new_tokens"] == 0]

    @property
    def leaders(self) -> list[Any]:
        """Bodies of the requests that sampled alone and streamed, because their prefix was cold."""
        return [body for body in self.bodies("/generate") if body.get("stream")]

    @property
    def batches(self) -> list[Any]:
        """Bodies of the requests that sampled."""
        return [body for body in self.bodies("/generate") if body["sampling_params"][0]["max_new_tokens"] > 0]

    @property
    def aborted(self) -> set[str]:
        """Request ids that were aborted."""
        return {body["rid"] for body in self.bodies("/abort_request")}

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        try:
            await asyncio.sleep(0)
            return await self._answer(request, request.url.path)
        except asyncio.CancelledError:
            if request.url.path == "/generate":
                self.dropped.update(json.loads(request.content)["rid"])
            raise

    async def _answer(self, request: httpx.Request, path: str) -> httpx.Response:
        if self.overrides.get(path):
            answer = self.overrides[path].pop(0)
            if isinstance(answer, Exception):
                raise type(answer)(*answer.args)  # a new one: a raised exception remembers where
            return answer
        if path == "/generate":
            return await self._generate(json.loads(request.content))
        if path == "/tokenize":
            return self._tokenize(json.loads(request.content))
        if path == "/detokenize":
            tokens = json.loads(request.content)["tokens"]
            is_nested = bool(tokens) and isinstance(tokens[0], list)
            return httpx.Response(
                200, json={"text": [text_of(ids) for ids in tokens] if is_nested else text_of(tokens)}
            )
        gets = {"/server_info": self.info, "/model_info": self.model_info, "/v1/models": MODELS}
        if path in gets:
            return httpx.Response(200, json=gets[path])
        if path == "/metrics/":
            return httpx.Response(200, text=METRICS)
        known = path in {"/abort_request", "/flush_cache", "/health_generate"}
        return httpx.Response(200) if known else httpx.Response(404, json={"detail": "Not Found"})

    async def _generate(self, body: dict[str, Any]) -> httpx.Response:
        await asyncio.sleep(0)
        await self.open.wait()
        samples: list[dict[str, Any]] = []
        for ids, rid, params in zip(body["input_ids"], body["rid"], body["sampling_params"], strict=True):
            if params["max_new_tokens"] == 0:
                samples.append(sample(rid, (), {"type": "length", "length": 0}, len(ids)))
            else:
                samples.append(self.answer(rid, params, len(ids)))
        if body.get("stream"):
            frames = [one | {"index": index} for index, one in enumerate(samples)]
            return httpx.Response(200, content=events(*frames), headers={"content-type": "text/event-stream"})
        return httpx.Response(200, json=samples)

    def _tokenize(self, body: dict[str, Any]) -> httpx.Response:
        if "messages" not in body:
            given = body["prompt"]
            tokens = list(map(ord, given)) if isinstance(given, str) else [list(map(ord, text)) for text in given]
            return httpx.Response(200, json={"tokens": tokens})
        if not self.has_chat_template:
            return httpx.Response(400, json={"error": {"message": "no chat template"}})
        text = "".join(f"{message['role']}:{message['content']};" for message in body["messages"])
        return httpx.Response(200, json={"tokens": [ord(character) for character in text]})
