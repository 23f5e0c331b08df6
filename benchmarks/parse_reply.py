"""CPU time to read one reply of an expand with n = 8: `python benchmarks/parse_reply.py [OUT.json]`.

The replies have 4 and 48 tokens a sample, without and with log-probabilities, in the shape of SGLang 0.5.18. Medians of
several rounds of process time.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import pydantic

from ets_client._wire.generate import read_samples

SAMPLES = 8
ROUNDS = 15
CALLS = 400


def reply(tokens: int, *, logprobs: bool) -> bytes:
    """A reply of eight samples."""
    meta: dict[str, Any] = {
        "finish_reason": {"type": "stop", "matched": "\n\n"}, "prompt_tokens": 512, "weight_version": "default",
        "num_retractions": 0, "cached_tokens": 511, "cached_tokens_details": None, "dp_rank": None,
        "completion_tokens": tokens, "e2e_latency": 0.51, "response_sent_to_client_ts": 1795391430.1,
        "queue_time": 0.0004, "forward_entry_time": 1795391430.1, "prefill_finished_time": 1795391430.2,
        "decode_throughput": 98.4, "request_received_ts": 1795391430.0, "request_finished_ts": 1795391430.5,
    }  # fmt: skip
    if logprobs:
        meta["output_token_logprobs"] = [[-0.733393132686615, token, None] for token in range(tokens)]
    samples = [
        {"text": "word " * tokens, "output_ids": list(range(tokens)), "meta_info": {"id": f"{number:032x}", **meta}}
        for number in range(SAMPLES)
    ]
    return json.dumps(samples).encode()


def microseconds(body: bytes) -> float:
    """Median CPU time of one read."""
    rounds: list[float] = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(CALLS):
            read_samples(body, SAMPLES)
        rounds.append((time.process_time() - start) / CALLS * 1e6)
    return statistics.median(rounds)


def main(out: str | None) -> None:
    results = {
        f"{tokens} tokens a sample, {'with' if logprobs else 'without'} log-probabilities": {
            "bytes": len(reply(tokens, logprobs=logprobs)),
            "microseconds": round(microseconds(reply(tokens, logprobs=logprobs)), 1),
        }
        for tokens in (4, 48)
        for logprobs in (False, True)
    }
    report = {
        "benchmark": "parse_reply",
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, CPython {platform.python_version()}, pydantic {pydantic.VERSION}",
        "samples": SAMPLES,
        "results": results,
    }
    print(json.dumps(report, indent=1))
    if out is not None:
        Path(out).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
