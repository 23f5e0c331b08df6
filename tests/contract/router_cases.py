"""What is asked of a router: (name, method, path, body). ``MODEL`` stands for the path of the served model."""

from __future__ import annotations

from typing import Any

__all__ = ["MODEL", "ROUTER_CASES"]

MODEL = "@model"
_IDS = [97, 98, 99, 100]
_FEW = {"max_new_tokens": 3}


def _generate(**fields: Any) -> dict[str, Any]:
    return {"input_ids": [_IDS] * 2, "sampling_params": _FEW, "rid": "batch"} | fields


ROUTER_CASES: tuple[tuple[str, str, str, dict[str, Any] | None], ...] = (
    ("readiness", "GET", "/readiness", None),
    ("workers", "GET", "/workers", None),
    ("get_model_info", "GET", "/get_model_info", None),
    ("get_server_info", "GET", "/get_server_info", None),
    ("tokenizers", "GET", "/v1/tokenizers", None),
    ("engine_metrics", "GET", "/engine_metrics", None),
    ("health_generate", "GET", "/health_generate", None),
    ("no model_info", "GET", "/model_info", None),
    ("no server_info", "GET", "/server_info", None),
    ("no loads", "GET", "/v1/loads", None),
    ("no ready", "GET", "/ready", None),
    ("no tokenize", "POST", "/tokenize", {"prompt": "ab"}),
    ("no abort", "POST", "/abort_request", {"rid": "x"}),
    ("tokenize", "POST", "/v1/tokenize", {"model": MODEL, "prompt": "ab", "add_special_tokens": True}),
    ("tokenize without a prompt", "POST", "/v1/tokenize", {"model": MODEL, "messages": []}),
    ("tokenize of another model", "POST", "/v1/tokenize", {"model": "other", "prompt": "ab"}),
    ("detokenize", "POST", "/v1/detokenize", {"model": MODEL, "tokens": [97], "skip_special_tokens": False}),
    ("flush_cache", "POST", "/flush_cache?timeout=1", {}),
    ("a batch", "POST", "/generate", _generate()),
    ("a batch of one", "POST", "/generate", _generate(input_ids=[_IDS], rid="single")),
    ("a prefill", "POST", "/generate", _generate(input_ids=[_IDS], sampling_params={"max_new_tokens": 0}, rid="warm")),
    ("a namespace", "POST", "/generate", _generate(extra_key="apart", rid="space")),
    ("log-probabilities", "POST", "/generate", _generate(return_logprob=True, rid="logs")),
    (
        "labels",
        "POST",
        "/generate",
        _generate(return_logprob=True, token_ids_logprob=[97, 98], sampling_params={"max_new_tokens": 1}, rid="labels"),
    ),
    ("a stream", "POST", "/generate", _generate(stream=True, rid="stream")),
    ("too long", "POST", "/generate", _generate(input_ids=[[97] * 3000], rid="long")),
    ("out of range", "POST", "/generate", _generate(sampling_params={"top_p": 2.0}, rid="range")),
    ("a list of ids", "POST", "/generate", _generate(rid=["a", "b"])),
    ("a list of samplings", "POST", "/generate", _generate(sampling_params=[_FEW, _FEW])),
    ("a list of namespaces", "POST", "/generate", _generate(extra_key=["a", "b"])),
    ("a list of labels each", "POST", "/generate", _generate(return_logprob=True, token_ids_logprob=[[97], [98]])),
)
