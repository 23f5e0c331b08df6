"""What SGLang's routers tell: their readiness, their workers, their tokenizers, and facts of one worker.

Read off ``sglang-router`` 0.3.2 and its successor ``smg`` 1.13.0 (``tests/contract/recorded/router/``).
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from ..server_info import ModelInfo, ServerInfo
from .broken import BrokenReplyError
from .info import info_of, read_one_server

__all__ = ["RouterTokenizerEntry", "Worker", "is_router", "read_router_info", "read_tokenizers", "read_workers"]

T = TypeVar("T", bound=BaseModel)
_CACHE_SIZE = re.compile(rb"^sglang[:_]max_total_num_tokens(?:\{.*\})?[ \t]+(\S+)", re.MULTILINE)


class _WireReadiness(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, defer_build=True)

    healthy_workers: int
    total_workers: int


class _WireServed(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)

    context_length: int | None = None


class Worker(BaseModel):
    """One server behind a router. ``sglang-router`` has ``metadata``, ``smg`` has ``labels`` and ``models``."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=(), defer_build=True)

    url: str
    model_id: str = ""
    metadata: dict[str, str] = Field(default_factory=dict[str, str])
    labels: dict[str, str] = Field(default_factory=dict[str, str])
    models: list[_WireServed] = Field(default_factory=list[_WireServed])

    @property
    def model_path(self) -> str:
        """What it serves."""
        return self._told("model_path") or self.model_id

    @property
    def version(self) -> str:
        """SGLang's version, or ""."""
        return self._told("version")

    @property
    def context_length(self) -> int | None:
        """Tokens of prompt and output together, or None."""
        told = [model.context_length for model in self.models if model.context_length]
        return min(told, default=None) or self.number("context_length") or self.number("max_model_len")

    def number(self, name: str) -> int | None:
        """A number that the router keeps of it, or None."""
        told = self._told(name)
        return int(told) if told.isdecimal() else None

    def _told(self, name: str) -> str:
        return self.labels.get(name) or self.metadata.get(name) or ""


class _WireWorkers(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)

    workers: list[Worker]


class RouterTokenizerEntry(BaseModel):
    """A tokenizer that a router holds."""

    model_config = ConfigDict(extra="ignore", defer_build=True)

    name: str
    source: str = ""
    vocab_size: int | None = None


class _WireTokenizers(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)

    tokenizers: list[RouterTokenizerEntry]


def is_router(readiness: bytes) -> bool:
    """Whether this is a router's ``/readiness``; SGLang has no such endpoint.

    Args:
        readiness: the reply's body.
    """
    try:
        _WireReadiness.model_validate_json(readiness)
    except ValidationError:
        return False
    return True


def read_workers(body: bytes) -> tuple[Worker, ...]:
    """Read ``/workers``.

    Raises:
        BrokenReplyError: it is not a router's.
    """
    return tuple(_read(_WireWorkers, body, "/workers").workers)


def read_tokenizers(body: bytes) -> tuple[RouterTokenizerEntry, ...]:
    """Read ``/v1/tokenizers``.

    Raises:
        BrokenReplyError: it is not a router's.
    """
    return tuple(_read(_WireTokenizers, body, "/v1/tokenizers").tokenizers)


def read_router_info(server_info: bytes, model: ModelInfo, workers: tuple[Worker, ...], metrics: bytes) -> ServerInfo:
    """The facts of a router and of the servers behind it.

    Args:
        server_info: body of ``/get_server_info``: of ``smg`` one worker's ``/server_info``, of ``sglang-router`` only
            the number of workers.
        model: what ``/get_model_info`` told.
        workers: what ``/workers`` told; none when this client may not ask.
        metrics: body of ``/engine_metrics``, empty when there is none.

    Raises:
        BrokenReplyError: the first is neither.
    """
    alone = _workers_counted(server_info)
    contexts = [worker.context_length for worker in workers]
    if alone is None:
        one = read_one_server(server_info)
        info = replace(info_of(one, model, one.context_length or _least(contexts)), frontend="smg")
    else:
        info = ServerInfo(
            frontend="sglang-router",
            model_path=model.model_path,
            tokenizer_path=model.tokenizer_path,
            weight_version=model.weight_version,
            context_length=_least(contexts),
        )
    cache_sizes = [_number(found) for found in _CACHE_SIZE.findall(metrics)]
    cache_sizes += [worker.number("max_total_tokens") for worker in workers]
    context, cache = _least([info.context_length, *contexts]), _least([info.max_total_tokens, *cache_sizes])
    return replace(
        info,
        workers=len(workers) or alone or 1,
        version=info.version or next((worker.version for worker in workers if worker.version), ""),
        context_length=context,
        max_total_tokens=cache,
        max_running_requests=_least(
            [info.max_running_requests, *(worker.number("max_running_requests") for worker in workers)]
        ),
        dp_size=info.dp_size or _least([worker.number("dp_size") for worker in workers]),
        # The routers have no /abort_request, and loads of another kind.
        has_aborts=False,
        has_loads=False,
        has_metrics=bool(metrics.strip()),
    )


def _read(kind: type[T], body: bytes, path: str) -> T:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise BrokenReplyError(f"{path}: {'.'.join(map(str, first['loc'])) or 'the body'}: {first['msg']}") from None


def _workers_counted(server_info: bytes) -> int | None:
    """Servers behind ``sglang-router``, or None when the reply is a server's."""
    try:
        told = from_json(server_info)
    except ValueError:
        return None
    if not isinstance(told, dict) or "router_manager" not in told:
        return None
    counted = cast("dict[str, object]", told).get("workers_count")
    return counted if isinstance(counted, int) else None


def _number(text: bytes) -> int | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return round(value) if math.isfinite(value) and value > 0 else None


def _least(told: list[int | None]) -> int | None:
    return min((number for number in told if number is not None), default=None)
