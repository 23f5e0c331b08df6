"""``/server_info``, ``/model_info``, ``/v1/models`` and ``/metrics``."""

from __future__ import annotations

import math
import re

from pydantic import BaseModel, ConfigDict, ValidationError

from ..server_info import ServerInfo, ServerMetrics
from .broken import BrokenReplyError

__all__ = ["read_metrics", "read_server_info"]


class _WireServerInfo(BaseModel):
    """The fields that are used, of more than 400. The reply also holds the API keys in clear, so it is never shown."""

    model_config = ConfigDict(extra="ignore", defer_build=True)

    version: str = ""
    context_length: int | None = None
    max_req_input_len: int
    max_total_num_tokens: int
    page_size: int = 1
    schedule_policy: str = ""
    enable_metrics: bool = False
    enable_deterministic_inference: bool = False
    disable_radix_cache: bool = False
    incremental_streaming_output: bool = False


class _WireModelInfo(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True, protected_namespaces=())

    model_path: str
    tokenizer_path: str = ""
    weight_version: str = "default"


class _WireModel(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)

    max_model_len: int | None = None


class _WireModels(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)

    data: list[_WireModel]


def read_server_info(server_info: bytes, model_info: bytes, models: bytes) -> ServerInfo:
    """Put three replies together.

    Args:
        server_info: body of ``/server_info``.
        model_info: body of ``/model_info``.
        models: body of ``/v1/models``, which alone tells the context length that SGLang took from the model's config.

    Raises:
        BrokenReplyError: one of them is not SGLang's.
    """
    try:
        server = _WireServerInfo.model_validate_json(server_info)
        model = _WireModelInfo.model_validate_json(model_info)
        listed = _WireModels.model_validate_json(models)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise BrokenReplyError(f"{error.title.removeprefix('_Wire')}: {where or 'the body'}: {first['msg']}") from None
    told = [entry.max_model_len for entry in listed.data if entry.max_model_len]
    return ServerInfo(
        version=server.version,
        model_path=model.model_path,
        tokenizer_path=model.tokenizer_path or model.model_path,
        context_length=server.context_length or (told[0] if told else server.max_req_input_len),
        max_input_tokens=server.max_req_input_len,
        max_total_tokens=server.max_total_num_tokens,
        page_size=server.page_size,
        schedule_policy=server.schedule_policy,
        has_metrics=server.enable_metrics,
        is_deterministic=server.enable_deterministic_inference,
        has_radix_cache=not server.disable_radix_cache,
        streams_increments=server.incremental_streaming_output,
        weight_version=model.weight_version,
    )


_SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})?[ \t]+(?P<value>\S+)", re.MULTILINE)
_LABEL = re.compile(r'(?P<name>\w+)="(?P<value>(?:[^"\\]|\\.)*)"')


def read_metrics(body: bytes) -> ServerMetrics:
    """Read the counters out of ``/metrics`` (Prometheus text), summed over the server's workers.

    Args:
        body: the reply's body.

    Raises:
        BrokenReplyError: it is no such text.
    """
    totals: dict[str, float] = {}
    for found in _SAMPLE.finditer(body.decode(errors="replace")):
        name, labels = found["name"], dict(_LABEL.findall(found["labels"] or ""))
        # Every tensor-parallel rank may report; rank 0 speaks for its group.
        if labels.get("tp_rank", "0") != "0":
            continue
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
