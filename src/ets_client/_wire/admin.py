"""``/model_info`` and ``/v1/loads``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from ..server_info import ModelInfo, WorkerLoad
from .broken import BrokenReplyError

__all__ = ["read_loads", "read_model_info"]


class _WireModelInfo(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True, protected_namespaces=())

    model_path: str
    tokenizer_path: str = ""
    served_model_name: str = ""
    is_generation: bool = True
    weight_version: str = "default"
    architectures: list[str] | None = None


class _WireLoad(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)

    dp_rank: int = 0
    num_running_reqs: int = 0
    num_waiting_reqs: int = 0
    num_used_tokens: int = 0
    max_total_num_tokens: int = 0
    token_usage: float = 0.0
    gen_throughput: float = 0.0
    cache_hit_rate: float = 0.0


class _WireLoads(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)

    loads: list[_WireLoad]


def read_model_info(body: bytes) -> ModelInfo:
    """Read ``/model_info``.

    Raises:
        BrokenReplyError: it is not SGLang's.
    """
    try:
        wire = _WireModelInfo.model_validate_json(body)
    except ValidationError as error:
        raise BrokenReplyError(f"/model_info: {error.errors(include_url=False)[0]['msg']}") from None
    return ModelInfo(
        model_path=wire.model_path,
        tokenizer_path=wire.tokenizer_path or wire.model_path,
        served_model_name=wire.served_model_name or wire.model_path,
        is_generation=wire.is_generation,
        weight_version=wire.weight_version,
        architectures=tuple(wire.architectures or ()),
    )


def read_loads(body: bytes) -> tuple[WorkerLoad, ...]:
    """Read ``/v1/loads``.

    Raises:
        BrokenReplyError: it is not SGLang's.
    """
    try:
        wire = _WireLoads.model_validate_json(body)
    except ValidationError as error:
        raise BrokenReplyError(f"/v1/loads: {error.errors(include_url=False)[0]['msg']}") from None
    return tuple(
        WorkerLoad(
            dp_rank=load.dp_rank,
            running_requests=load.num_running_reqs,
            waiting_requests=load.num_waiting_reqs,
            used_tokens=load.num_used_tokens,
            max_total_tokens=load.max_total_num_tokens,
            token_usage=load.token_usage,
            tokens_per_second=load.gen_throughput,
            cache_hit_rate=load.cache_hit_rate,
        )
        for load in wire.loads
    )
