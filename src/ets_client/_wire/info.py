"""``/server_info``, ``/v1/models`` and ``/metrics``."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import from_json

from ..server_info import ServerInfo, ServerMetrics
from .broken import BrokenReplyError

if TYPE_CHECKING:
    from ..server_info import ModelInfo

__all__ = ["WireServerInfo", "info_of", "read_metrics", "read_one_server", "read_server_info"]

T = TypeVar("T", bound=BaseModel)

_LEAST_KV_GIB = 0.5  # of a smaller cache, 0.005 GiB of rounding are more than 1 %


def _as_fields(value: object) -> object:
    """The fields of a flag that was not given, or that SGLang shows as it was written on its command line."""
    return from_json(value) if isinstance(value, str) else value or {}


class _WireMemory(BaseModel):
    """Scheduler.get_internal_state: GiB of the KV cache, rounded to 0.01, and the tokens that it holds."""

    model_config = ConfigDict(extra="ignore", defer_build=True)

    kvcache: float | None = None
    token_capacity: int | None = None


class _WireState(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)

    memory_usage: _WireMemory | None = None
    effective_max_running_requests_per_dp: int | None = None


class _WirePhase(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)

    backend: str = "disabled"
    max_bs: int | None = None


class _WireGraphs(BaseModel):
    """``cuda_graph_config`` (SGLang's model_executor/cuda_graph_config.py), as resolved at the server's start."""

    model_config = ConfigDict(extra="ignore", defer_build=True)

    decode: _WirePhase = _WirePhase()


class WireServerInfo(BaseModel):
    """The fields that are used, of more than 400. The reply also holds the API keys in clear, so it is never shown."""

    model_config = ConfigDict(extra="ignore", defer_build=True, hide_input_in_errors=True)

    version: str = ""
    context_length: int | None = None
    max_req_input_len: int
    max_total_num_tokens: int
    max_running_requests: int | None = None
    max_queued_requests: int | None = None
    cuda_graph_config: _WireGraphs | None = None
    page_size: int = 1
    chunked_prefill_size: int | None = None
    schedule_policy: str = ""
    dp_size: int = 1
    enable_metrics: bool = False
    enable_deterministic_inference: bool = False
    disable_radix_cache: bool = False
    incremental_streaming_output: bool = False
    admin_api_key: SecretStr | None = None
    preferred_sampling_params: Annotated[dict[str, object], BeforeValidator(_as_fields)] = {}
    internal_states: list[_WireState] = Field(default_factory=list[_WireState])


class _WireModel(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)

    max_model_len: int | None = None


class _WireModels(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)

    data: list[_WireModel]


def read_server_info(server_info: bytes, model: ModelInfo, models: bytes) -> ServerInfo:
    """Put three replies together.

    Args:
        server_info: body of ``/server_info``.
        model: what ``/model_info`` told.
        models: body of ``/v1/models``, which alone tells the context length that SGLang took from the model's config.

    Raises:
        BrokenReplyError: one of them is not SGLang's.
    """
    server = _read(WireServerInfo, server_info)
    told = [entry.max_model_len for entry in _read(_WireModels, models).data if entry.max_model_len]
    return info_of(server, model, server.context_length or min(told, default=server.max_req_input_len))


def read_one_server(body: bytes) -> WireServerInfo:
    """Read ``/server_info`` of a server alone.

    Raises:
        BrokenReplyError: it is not SGLang's.
    """
    return _read(WireServerInfo, body)


def info_of(server: WireServerInfo, model: ModelInfo, context_length: int | None) -> ServerInfo:
    """The facts of a server.

    Args:
        server: its ``/server_info``.
        model: its ``/model_info``.
        context_length: tokens of prompt and output together.
    """
    effective = [state.effective_max_running_requests_per_dp for state in server.internal_states]
    running = server.max_running_requests or min((most for most in effective if most is not None), default=None)
    graphs = server.cuda_graph_config.decode if server.cuda_graph_config is not None else None
    return ServerInfo(
        version=server.version,
        model_path=model.model_path,
        tokenizer_path=model.tokenizer_path,
        weight_version=model.weight_version,
        context_length=context_length,
        max_input_tokens=server.max_req_input_len,
        max_total_tokens=server.max_total_num_tokens,
        kv_bytes_per_token=_kv_bytes(server),
        max_running_requests=running,
        captured_batch=graphs.max_bs if graphs is not None and graphs.backend != "disabled" else None,
        max_queued_requests=server.max_queued_requests,
        page_size=server.page_size,
        chunked_prefill_size=server.chunked_prefill_size,
        schedule_policy=server.schedule_policy,
        dp_size=server.dp_size,
        has_admin_key=server.admin_api_key is not None,
        is_deterministic=server.enable_deterministic_inference,
        has_radix_cache=not server.disable_radix_cache,
        streams_increments=server.incremental_streaming_output,
        has_metrics=server.enable_metrics,
        preferred_sampling=server.preferred_sampling_params,
        is_generation=model.is_generation,
        architectures=model.architectures,
    )


def _kv_bytes(server: WireServerInfo) -> float | None:
    memory = server.internal_states[0].memory_usage if server.internal_states else None
    if memory is None or not memory.kvcache or not memory.token_capacity or memory.kvcache < _LEAST_KV_GIB:
        return None
    return memory.kvcache * 2**30 / memory.token_capacity


def _read(kind: type[T], body: bytes) -> T:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        name = error.title.removeprefix("_").removeprefix("Wire")
        raise BrokenReplyError(f"{name}: {where or 'the body'}: {first['msg']}") from None


_SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})?[ \t]+(?P<value>\S+)", re.MULTILINE)
_LABEL = re.compile(r'(?P<name>\w+)="(?P<value>(?:[^"\\]|\\.)*)"')


def read_metrics(body: bytes) -> ServerMetrics:
    """Read the counters out of ``/metrics`` (Prometheus text), summed over the server's workers.

    Args:
        body: the reply's body; of a router's ``/engine_metrics`` too, where ``sglang-router`` writes ``sglang_``.

    Raises:
        BrokenReplyError: it is no such text.
    """
    totals: dict[str, float] = {}
    for found in _SAMPLE.finditer(body.decode(errors="replace")):
        name, labels = found["name"], dict(_LABEL.findall(found["labels"] or ""))
        # Every tensor-parallel rank may report; rank 0 speaks for its group.
        if labels.get("tp_rank", "0") != "0":
            continue
        name = name.replace("sglang_", "sglang:", 1) if name.startswith("sglang_") else name
        key = f"{name}/{labels['mode']}" if "mode" in labels else name
        try:
            totals[key] = totals.get(key, 0.0) + float(found["value"])
        except ValueError:
            raise BrokenReplyError(f"/metrics: {found[0][:80]!r} is no sample") from None

    def total(key: str) -> int:
        value = totals.get(key, 0.0)
        return round(value) if math.isfinite(value) else 0

    return ServerMetrics(
        prefilled_tokens=total("sglang:realtime_tokens_total/prefill_compute"),
        reused_tokens=total("sglang:realtime_tokens_total/prefill_cache"),
        generated_tokens=total("sglang:generation_tokens_total"),
        running_requests=total("sglang:num_running_reqs"),
        waiting_requests=total("sglang:num_queue_reqs"),
    )
