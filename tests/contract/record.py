"""Send all cases to a real server and write what came back: `python -m tests.contract.record URL FILE [reward]`.

Needs the standard library alone, so that it runs on a host that has nothing else.
"""

from __future__ import annotations

import http.client
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .cases import ALL_CASES, REWARD_CASES, WireCase

if TYPE_CHECKING:
    from collections.abc import Sequence

_SECONDS = 120
_MOST_METRICS = 400
_FOLDERS = re.compile(r"/[^\s\"']*/(?=site-packages/)")


def send(url: str, case: WireCase) -> dict[str, Any]:
    """Send one case on a connection of its own and describe the reply."""
    target = urlsplit(url)
    connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=_SECONDS)
    body = case.raw if case.raw is not None else b"" if case.body is None else json.dumps(case.body).encode()
    try:
        connection.request(case.method, case.path, body, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        status, kind = reply.status, (reply.getheader("Content-Type") or "").partition(";")[0]
        try:
            text = reply.read().decode()
            is_cut = False
        except http.client.IncompleteRead as error:
            text, is_cut = error.partial.decode(), True
    finally:
        connection.close()
    return {"status": status, "content_type": kind, "is_cut": is_cut, "body": _keep(case, text)}


def record(url: str, cases: Sequence[WireCase] = ALL_CASES) -> dict[str, Any]:
    """Send cases; folders of the server's machine are left out of what it said."""
    replies = {case.section: send(url, case) for case in cases}
    model = json.loads(replies["endpoint: /model_info"]["body"])["model_path"]
    for reply in replies.values():
        reply["body"] = _FOLDERS.sub("", reply["body"].replace(model, "/models/model"))
    return replies


def _keep(case: WireCase, text: str) -> str:
    """The body; of the two that hold hundreds of lines about the machine, only what clients read."""
    if case.path in {"/server_info", "/get_server_info"} and text.startswith("{"):
        kept = (
            "version", "context_length", "max_req_input_len", "max_total_num_tokens", "page_size", "schedule_policy",
            "enable_metrics", "enable_deterministic_inference", "disable_radix_cache", "incremental_streaming_output",
        )  # fmt: skip
        everything = json.loads(text)
        return json.dumps({name: everything[name] for name in kept if name in everything})
    if case.path == "/metrics/":
        names = sorted({line.split()[2] for line in text.splitlines() if line.startswith("# TYPE sglang:")})
        return "\n".join(names[:_MOST_METRICS])
    return text


if __name__ == "__main__":
    url, file, *kind = sys.argv[1:]
    found = record(url, REWARD_CASES if kind == ["reward"] else ALL_CASES)
    Path(file).write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
