"""CPU time to read one reply of an expand with n = 8: `python benchmarks/parse_reply.py [OUT.json]`.

The replies have 4, 48 and 64 tokens a sample, without and with log-probabilities, in the shape of SGLang 0.5.18.
Reading a reply passes over its log-probabilities; what it costs to look at those of all samples is told apart. Medians
of several rounds of process time.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

import pydantic
from machine import publish, where

from ets_client._wire.generate import read_samples
from ets_client._wire.logprobs import logprobs_of_samples

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLES = 8
ROUNDS = 15
CALLS = 400


def reply(tokens: int, *, logprobs: bool, top: int) -> bytes:
    """A reply of eight samples."""
    meta: dict[str, Any] = {
        "finish_reason": {"type": "stop", "matched": "\n\n"}, "prompt_tokens": 512, "weight_version": "default",
        "num_retractions": 0, "cached_tokens": 511, "cached_tokens_details": None, "dp_rank": None,
        "completion_tokens": tokens, "e2e_latency": 0.51, "response_sent_to_client_ts": 1795391430.1,
        "queue_time": 0.0004, "forward_entry_time": 1795391430.1, "prefill_finished_time": 1795391430.2,
        "decode_throughput": 98.4, "request_received_ts": 1795391430.0, "request_finished_ts": 1795391430.5,
    }  # fmt: skip
    if logprobs:
        entries: list[tuple[float, int, None]] = [(-0.733393132686615 - token, token, None) for token in range(tokens)]
        meta["output_token_logprobs"] = entries
        if top:
            meta["output_top_logprobs"] = [
                [[own - rank, token + rank, None] for rank in range(top)] for own, token, _ in entries
            ]
    samples = [
        {"text": "word " * tokens, "output_ids": list(range(tokens)), "meta_info": {"id": f"{number:032x}", **meta}}
        for number in range(SAMPLES)
    ]
    return json.dumps(samples).encode()


def read(body: bytes) -> None:
    read_samples(body, SAMPLES)
    logprobs_of_samples(body, SAMPLES)


def look(body: bytes) -> None:
    for logprobs in logprobs_of_samples(body, SAMPLES):
        if logprobs is not None:
            logprobs.values  # noqa: B018 - it reads


def microseconds(function: Callable[[bytes], None], body: bytes) -> float:
    """Median CPU time of one call."""
    rounds: list[float] = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(CALLS):
            function(body)
        rounds.append((time.process_time() - start) / CALLS * 1e6)
    return round(statistics.median(rounds), 1)


def main(out: str | None) -> None:
    results: dict[str, dict[str, float]] = {}
    for tokens, logprobs, top in ((4, False, 0), (4, True, 0), (48, False, 0), (48, True, 0), (64, True, 5)):
        body = reply(tokens, logprobs=logprobs, top=top)
        name = f"{tokens} tokens a sample, {'with' if logprobs else 'without'} log-probabilities"
        row = results[name + (f" and {top} alternatives" if top else "")] = {
            "bytes": len(body),
            "microseconds": microseconds(read, body),
        }
        if logprobs:
            row["microseconds_to_look_at_them"] = microseconds(look, body)
    report = where("parse_reply") | {"pydantic": pydantic.VERSION, "samples": SAMPLES, "results": results}
    publish(report, out)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
