"""Ask a router for all of ``ROUTER_CASES``: `python -m tests.contract.record_router URL MODEL FILE`.

MODEL is the path that its workers serve. Needs the standard library alone. ``recorded/router/`` holds the replies of
``sglang-router`` 0.3.2 in front of a real SGLang 0.5.18 on a CPU, and of ``smg`` 1.13.0 in front of one
``python -m ets_client.testing``; a tokenizer was registered under the model's path.
"""

from __future__ import annotations

import http.client
import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .router_cases import MODEL, ROUTER_CASES

_SERVER_FACTS = (
    "version", "context_length", "max_req_input_len", "max_total_num_tokens", "max_running_requests", "page_size",
    "max_queued_requests", "chunked_prefill_size", "schedule_policy", "dp_size", "enable_metrics",
    "enable_deterministic_inference", "disable_radix_cache", "incremental_streaming_output", "admin_api_key",
)  # fmt: skip
_METRICS = ("max_total_num_tokens", "realtime_tokens_total", "generation_tokens_total", "num_running_reqs")


def record_router(url: str, model: str) -> dict[str, Any]:
    """Send all cases; the workers' addresses and the model's folder are left out of what came back.

    Args:
        url: the router's address.
        model: what its workers serve.
    """
    replies: dict[str, Any] = {}
    for name, method, path, body in ROUTER_CASES:
        sent = "" if body is None else json.dumps(body).replace(MODEL, model)
        status, kind, text = _send(url, method, path, sent)
        replies[name] = {
            "status": status,
            "content_type": kind,
            "body": _keep(path, text, model).replace(model, "/models/m"),
        }
    return replies


def _send(url: str, method: str, path: str, body: str) -> tuple[int, str, str]:
    target = urlsplit(url)
    connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=60)
    try:
        connection.request(method, path, body.encode(), {"Content-Type": "application/json"})
        reply = connection.getresponse()
        return reply.status, (reply.getheader("Content-Type") or "").partition(";")[0], reply.read().decode()
    finally:
        connection.close()


def _keep(path: str, text: str, model: str) -> str:
    """The body; of the long ones only what clients read."""
    if path == "/get_server_info" and "router_manager" not in text:
        told = json.loads(text)
        return json.dumps({name: told[name] for name in _SERVER_FACTS if name in told})
    if path == "/get_model_info":
        return json.dumps({name: value for name, value in json.loads(text).items() if name != "embedding"})
    if path == "/workers":
        told = json.loads(text)
        for worker in told["workers"]:
            worker.pop("engine_load", None)
            worker["url"] = "http://worker"
        return json.dumps(told)
    if path == "/v1/tokenizers":
        told = json.loads(text)
        told["tokenizers"] = [{**each, "source": MODEL} for each in told["tokenizers"] if each["name"] == model]
        return json.dumps(told)
    if path == "/engine_metrics":
        kept = [line for line in text.splitlines() if line[:1] != "#" and any(name in line for name in _METRICS)]
        return "\n".join(line.replace(line.partition('worker_addr="')[2].partition('"')[0], "w") for line in kept)
    return text


if __name__ == "__main__":
    url, model, file = sys.argv[1:]
    Path(file).write_text(json.dumps(record_router(url, model), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
