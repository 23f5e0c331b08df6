"""What of a recorded reply must be equal on the fake and on the real server. Pure.

A shape keeps what a client can rely on: status, content type, key names, JSON types, lengths of lists, counts of
tokens, how a sample ended, and the words of a refusal. What the weights, the clock or the machine decide is kept as its
type.
"""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from .cases import OWN_RIDS

if TYPE_CHECKING:
    from .cases import WireCase

__all__ = ["METRICS", "NOT_IMITATED", "TYPES_ONLY", "between_of", "merged_like", "shape_of"]

NOT_IMITATED = {
    "embedding": "of /model_info from 0.5.18 on: how an embedding model would be run",
}
"""Keys of the real server that the fake has not, wherever they are, and why."""

_TOKENIZER = "the two tokenizers cut a text differently"
TYPES_ONLY: dict[str, tuple[frozenset[str], str]] = {
    "request: text": (frozenset({"prompt_tokens", "cached_tokens", "cached_tokens_details"}), _TOKENIZER),
    "request: a batch of texts": (frozenset({"prompt_tokens", "cached_tokens", "cached_tokens_details"}), _TOKENIZER),
    "endpoint: /tokenize": (frozenset({"tokens", "count"}), _TOKENIZER),
    "later: /v1/tokenize": (frozenset({"tokens", "count"}), _TOKENIZER),
    "endpoint: /tokenize of two": (frozenset({"tokens", "count"}), _TOKENIZER),
    "later: text and ids together": (
        frozenset({"prompt_tokens", "cached_tokens", "cached_tokens_details"}),
        _TOKENIZER,
    ),
    "sampling range: regex = [0-9]": (
        frozenset({"output_ids", "completion_tokens", "finish_reason"}),
        "the fake takes grammars, but its model does not obey them",
    ),
}
"""By section: keys of which no more than the JSON type is compared, and why."""

METRICS = frozenset(
    f"sglang:{name}"
    for name in (
        "cache_hit_rate",
        "cached_tokens_total",
        "generation_tokens_total",
        "http_responses_total",
        "kv_available_tokens",
        "kv_evictable_tokens",
        "max_total_num_tokens",
        "num_grammar_queue_reqs",
        "num_queue_reqs",
        "num_requests_total",
        "num_retracted_reqs",
        "num_running_reqs",
        "num_used_tokens",
        "prompt_tokens_total",
        "realtime_tokens_total",
        "token_usage",
    )
)
"""Of the metrics, those that clients read: the fake has no others."""

_EXACT = frozenset(
    {"prompt_tokens", "completion_tokens", "cached_tokens", "output_token_logprobs_length", "reasoning_tokens"}
    | {"num_retractions", "index", "count", "code", "object", "type", "param", "version", "retryable"}
    | {"prompt_token_ids"}
)
_GROWING = frozenset(
    {"output_ids", "completion_tokens", "output_token_logprobs", "output_token_logprobs_length"}
    | {"output_top_logprobs", "output_token_ids_logprobs"}
)
_FAULT = re.compile(r"'type': '(\w+)', 'loc': (\(.*?\)), 'msg': (['\"])(.*?)\3, 'input'")


def shape_of(case: WireCase, reply: dict[str, Any]) -> dict[str, Any]:
    """The shape of one reply.

    Args:
        case: what was asked.
        reply: as ``record.send`` describes it.
    """
    loose, _ = TYPES_ONLY.get(case.section, (frozenset[str](), ""))
    return {**reply, "body": _body(case.path, reply["content_type"], reply["body"], loose)}


def merged_like(shape: dict[str, Any], real: dict[str, Any]) -> dict[str, Any]:
    """A shape of the fake without the beginnings of those samples of a stream that the real server sent in one event.

    Args:
        shape: of the fake's reply.
        real: of the real server's reply to the same.
    """
    if real["content_type"] != "text/event-stream" or shape["content_type"] != "text/event-stream":
        return shape
    pairs = zip(shape["body"]["samples"], real["body"]["samples"], strict=True)
    samples = [mine if theirs["begins"] is not None else {**mine, "begins": None} for mine, theirs in pairs]
    return {**shape, "body": {**shape["body"], "samples": samples}}


def between_of(reply: dict[str, Any]) -> list[list[str]]:
    """The keys of ``meta_info`` in the events of a stream between the first and the last of a sample.

    How many there are depends on the clock, so they are no part of the shape.

    Args:
        reply: of a stream of one sample.
    """
    bodies, _ = _frames(reply["body"])
    return [sorted(body["meta_info"]) for body in bodies[1:-1]]


def _body(path: str, kind: str, text: str, loose: frozenset[str]) -> Any:
    if path == "/metrics/":
        return sorted(METRICS & set(text.split()))
    if kind == "text/event-stream":
        return _stream(text, loose)
    if kind == "application/json":
        return _value("", json.loads(text), loose)
    return _words(text)


def _value(name: str, value: Any, loose: frozenset[str]) -> Any:
    if name in loose:
        return sorted({type(each).__name__ for each in value}) if isinstance(value, list) else type(value).__name__
    if isinstance(value, dict):
        if name == "finish_reason":
            return {key: _words(each) if key == "message" else each for key, each in value.items()}
        return {key: _value(key, each, loose) for key, each in sorted(value.items()) if key not in NOT_IMITATED}
    if isinstance(value, list):
        return [_value(name, each, loose) for each in value]
    if isinstance(value, str) and name in {"message", "error"}:
        return _message(value)
    if value == "" or name in _EXACT or (name == "id" and value.startswith(OWN_RIDS)):
        return value
    return type(value).__name__


def _stream(text: str, loose: frozenset[str]) -> dict[str, Any]:
    """How each sample begins, grows and ends, and whether the end of all is told."""
    bodies, is_done = _frames(text)
    samples: dict[int, list[Any]] = {}
    for body in bodies:
        samples.setdefault(body.get("index", 0), []).append(body)
    return {"is_done": is_done, "samples": [_sample(found, loose) for _, found in sorted(samples.items())]}


def _sample(events: list[Any], loose: frozenset[str]) -> dict[str, Any]:
    """One sample of a stream.

    What its reader has not taken yet, SGLang replaces by the next event, which repeats it (tokenizer_manager.py,
    ``_wait_one_response``): so the clock decides how many tokens the first event has, and whether there is one before
    the last. How many does not count here; but each event must hold the tokens of the one before and some more.
    """
    *before, end = events
    told = [(body["output_ids"], body["meta_info"]["completion_tokens"]) for body in events if "output_ids" in body]
    grows = all(len(ids) == count for ids, count in told) and all(
        len(ids) < len(more) and more[: len(ids)] == ids for (ids, _), (more, _) in pairwise(told)
    )
    begins = _value("", before[0], loose | _GROWING) if before else None
    return {"begins": begins, "grows": grows, "ends": _value("", end, loose)}


def _frames(text: str) -> tuple[list[Any], bool]:
    frames = [frame.removeprefix("data: ") for frame in text.split("\n\n") if frame]
    is_done = bool(frames) and frames[-1] == "[DONE]"
    return [json.loads(frame) for frame in (frames[:-1] if is_done else frames)], is_done


def _message(text: str) -> Any:
    """Words; of a refusal by the web framework, which also names files and lines, only what is wrong where."""
    faults = {(kind, where, words) for kind, where, _, words in _FAULT.findall(text)}
    form = "list" if text.startswith("[") else "report"
    return [form, *sorted(faults)] if faults else _words(text)


def _words(text: str) -> str:
    return re.sub(r"\d+(\.\d+)?", "#", text)
