"""What the server says of itself, from ``/server_info`` to ``/metrics``. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .options import FakeOptions
    from .scheduler import Scheduler

__all__ = ["SECTIONS", "load_of", "loads", "metrics_text", "model_info", "models", "prometheus_loads", "server_info"]

_AFTER_THE_FIRST = frozenset({"num_aborted_requests_total", "evicted_tokens_total"})  # not shown while they are 0
_ALONE = {
    "mode": "null",
    "prefill_bootstrap_queue_reqs": 0,
    "prefill_inflight_queue_reqs": 0,
    "decode_prealloc_queue_reqs": 0,
    "decode_transfer_queue_reqs": 0,
    "decode_retracted_queue_reqs": 0,
    "kv_transfer_speed_gb_s": 0.0,
    "kv_transfer_latency_ms": 0.0,
}
SECTIONS = frozenset({"core", "memory", "spec", "lora", "disagg", "queues", "all"})


def server_info(options: FakeOptions, *, port: int) -> dict[str, Any]:
    """The fields of ``/server_info`` that a client may want, of more than 400."""
    return {
        "model_path": options.model_path,
        "tokenizer_path": options.model_path,
        "skip_tokenizer_init": False,
        "context_length": options.context_length,
        "host": "127.0.0.1",
        "port": port,
        "served_model_name": options.model_path,
        "weight_version": options.weight_version,
        "max_running_requests": options.max_running_requests,
        "max_queued_requests": options.max_queued_requests,
        "max_total_tokens": options.max_total_tokens,
        "chunked_prefill_size": -1 if options.chunked_prefill_size is None else options.chunked_prefill_size,
        "max_prefill_tokens": options.max_prefill_tokens,
        "schedule_policy": options.schedule_policy,
        "page_size": options.page_size,
        "radix_eviction_policy": "lru",
        "disable_radix_cache": options.disable_radix_cache,
        "disable_overlap_schedule": True,
        "enable_metrics": options.enable_metrics,
        "enable_deterministic_inference": options.enable_deterministic_inference,
        "stream_interval": options.stream_interval,
        "incremental_streaming_output": options.incremental_streaming_output,
        "random_seed": options.seed,
        "dp_size": 1,
        "api_key": options.api_key,
        "admin_api_key": options.admin_api_key,
        "max_total_num_tokens": options.max_total_tokens,
        "max_req_input_len": options.max_input_tokens,
        "internal_states": [
            {
                "last_gen_throughput": 0.0,
                "memory_usage": {"weight": 0.0, "kvcache": 0.0, "token_capacity": options.max_total_tokens},
                "effective_max_running_requests_per_dp": options.max_running_requests,
            }
        ],
        "status": "ready",
        "version": options.version,
    }


def model_info(options: FakeOptions) -> dict[str, Any]:
    """``/model_info``."""
    info: dict[str, Any] = {
        "model_path": options.model_path,
        "tokenizer_path": options.model_path,
        "is_generation": not options.reward_outputs,
        "preferred_sampling_params": None,
        "weight_version": options.weight_version,
        "has_image_understanding": False,
        "has_audio_understanding": False,
        "model_type": "fake",
        "architectures": ["FakeForSequenceClassification" if options.reward_outputs else "FakeForCausalLM"],
    }
    if options.version != "0.5.14":
        info |= {"served_model_name": options.model_path, "load_format": "dummy"}
        info |= {"reasoning_parser": None, "tool_call_parser": None}
    if options.version == "0.5.23":
        info["disaggregation_mode"] = "null"
    return info


def models(options: FakeOptions) -> dict[str, Any]:
    """``/v1/models``."""
    entry = {
        "id": options.model_path,
        "object": "model",
        "created": 0,
        "owned_by": "sglang",
        "root": options.model_path,
        "parent": None,
        "max_model_len": options.context_length,
    }
    return {"object": "list", "data": [entry]}


def load_of(options: FakeOptions, scheduler: Scheduler, now: float, sections: frozenset[str]) -> dict[str, Any]:
    """One entry of ``/v1/loads``."""
    used, total = scheduler.used_tokens, options.max_total_tokens
    compute, cache = scheduler.counts["prefill_compute"], scheduler.counts["prefill_cache"]
    uncached = sum(len(job.prompt) for job in scheduler.waiting)
    entry: dict[str, Any] = {
        "dp_rank": 0,
        "num_running_reqs": len(scheduler.running),
        "num_waiting_reqs": len(scheduler.waiting),
        "num_waiting_uncached_tokens": uncached,
        "num_used_tokens": used,
        "num_total_tokens": used + uncached,
        "max_total_num_tokens": total,
        "max_running_requests": options.max_running_requests,
        "token_usage": round(used / total, 4),
        "gen_throughput": 0.0,
        "cache_hit_rate": round(cache / (cache + compute), 4) if cache + compute else 0.0,
        "utilization": round(len(scheduler.running) / options.max_running_requests, 4),
    }
    if options.version != "0.5.14":
        entry |= {"timestamp": now, "num_active_tokens": used, "total_prefill_uncached_tokens": compute}
        entry |= {"total_prefill_busy_us": 0, "decode_moments": [0.0] * 6}
    if options.version == "0.5.23":
        entry["num_prealloc_ready_tokens"] = 0
    everything = "all" in sections or not sections
    if everything or "memory" in sections:
        entry["memory"] = {"weight_gb": 0.0, "kv_cache_gb": 0.0, "graph_gb": 0.0, "token_capacity": total}
    if everything or "queues" in sections:
        retracted = sum(1 for job in scheduler.waiting if job.retractions)
        entry["queues"] = {"waiting": len(scheduler.waiting), "grammar": 0, "paused": 0, "retracted": retracted}
        if options.version != "0.5.14":
            entry["queues"]["prealloc_ready"] = 0
    if everything or "disagg" in sections:
        entry["disaggregation"] = _ALONE
    return entry


def loads(options: FakeOptions, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """``/v1/loads``."""
    body: dict[str, Any] = {"timestamp": "1970-01-01T00:00:00+00:00", "version": options.version}
    if options.version != "0.5.14":
        body |= {"accelerator": None, "num_accelerators": 1}
    return body | {"loads": entries}


def prometheus_loads(entries: list[dict[str, Any]]) -> str:
    """``/v1/loads?format=prometheus``."""
    lines: list[str] = []
    for entry in entries:
        for name, value in entry.items():
            if name != "dp_rank" and not isinstance(value, dict | list):
                lines.append(f"# TYPE sglang_{name} gauge")
                lines.append(f'sglang_{name}{{dp_rank="{entry["dp_rank"]}"}} {value}')
    return "\n".join(lines) + "\n"


def metrics_text(
    options: FakeOptions,
    scheduler: Scheduler,
    http: Mapping[tuple[str, str, int], int],
    aborts: int,
) -> str:
    """``/metrics``: the counters and gauges that clients read, with the names and labels of the real server."""
    name = f'model_name="{options.model_path}"'
    worker = f'engine_type="unified",{name},moe_ep_rank="0",pp_rank="0",tp_rank="0"'
    front = f'engine_type="unified",is_streaming="false",{name}'
    counts, free = scheduler.counts, scheduler.free_tokens
    retracted = sum(1 for job in scheduler.waiting if job.retractions)
    used, total = scheduler.used_tokens, options.max_total_tokens
    rows: list[tuple[str, str, list[tuple[str, float]]]] = [
        ("prompt_tokens_total", "counter", [(front, counts["prompt"])]),
        ("generation_tokens_total", "counter", [(front, counts["generated"])]),
        ("cached_tokens_total", "counter", [(f'cache_source="device",engine_type="unified",{name}', counts["cached"])]),
        ("num_requests_total", "counter", [(front, counts["finished"])]),
        ("num_aborted_requests_total", "counter", [(f'engine_type="unified",{name}', aborts)]),
        (
            "realtime_tokens_total",
            "counter",
            [(f'mode="{mode}",{worker}', counts[mode]) for mode in ("prefill_compute", "decode", "prefill_cache")],
        ),
        ("evicted_tokens_total", "counter", [(worker, scheduler.tree.evicted)]),
        ("num_running_reqs", "gauge", [(worker, len(scheduler.running))]),
        ("num_queue_reqs", "gauge", [(worker, len(scheduler.waiting))]),
        ("num_grammar_queue_reqs", "gauge", [(worker, 0)]),
        ("num_retracted_reqs", "gauge", [(worker, retracted)]),
        ("token_usage", "gauge", [(worker, used / total)]),
        ("num_used_tokens", "gauge", [(worker, used)]),
        ("max_total_num_tokens", "gauge", [(worker, total)]),
        ("kv_available_tokens", "gauge", [(worker, free)]),
        ("kv_evictable_tokens", "gauge", [(worker, scheduler.tree.evictable)]),
        ("cache_hit_rate", "gauge", [(worker, _rate(counts["prefill_cache"], counts["prefill_compute"]))]),
        (
            "http_responses_total",
            "counter",
            [
                (f'endpoint="{path}",method="{method}",status_code="{status}"', times)
                for (path, method, status), times in sorted(http.items())
            ],
        ),
    ]
    lines: list[str] = []
    for metric, kind, samples in rows:
        if metric in _AFTER_THE_FIRST and not any(value for _, value in samples):
            continue
        lines.append(f"# TYPE sglang:{metric} {kind}")
        lines.extend(f"sglang:{metric}{{{labels}}} {float(value)}" for labels, value in samples)
    return "\n".join(lines) + "\n"


def _rate(hits: int, misses: int) -> float:
    return hits / (hits + misses) if hits + misses else 0.0
