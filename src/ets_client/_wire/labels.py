"""``POST /generate`` for the probabilities of a few next tokens, and for the choice among them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.json import Decoder

from ..usage import Usage
from .broken import BrokenReplyError
from .codec import read_json, to_json
from .generate import on_rank
from .verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["choice_body", "label_body", "read_choices", "read_labels", "router_label_body"]

_ABOVE_ALL = 100.0
"""What labels are lifted by: beside e^100 all that is no label is nothing in 32 bits. Lifted logits are rounded, which
moves a probability by some millionths."""


class _Meta(Struct):
    prompt_tokens: int = 0
    cached_tokens: int = 0
    input_token_logprobs: list[tuple[float | None, int, str | None]] | None = None
    output_top_logprobs: list[list[tuple[float | None, int, str | None]] | None] | None = None


class _Sample(Struct):
    meta_info: _Meta


_SAMPLES = Decoder(list[_Sample])


def label_body(
    prompts: Sequence[Sequence[int]],
    rids: Sequence[str],
    labels: Sequence[int],
    namespaces: Sequence[str] | None,
    rank: int | None = None,
) -> bytes:
    """Ask what each label would have cost as the next token: a prompt with each label behind it, nothing generated.

    ``token_ids_logprob`` would need one row a prompt, but SGLang before 0.5.23 dies when such a row and one without are
    computed in the same step (``'list' object has no attribute 'tolist'``).

    Args:
        prompts: token ids.
        rids: one request id for each label of the first prompt, then of the second, and so on.
        labels: token ids.
        namespaces: cache namespace of each prompt, or None when they have none. One request cannot hold both kinds:
            an empty name means none from 0.5.18 on, and is a namespace of its own in 0.5.14.
        rank: data-parallel rank that shall compute it, or None for the server's choice.
    """
    body: dict[str, Any] = {
        "input_ids": [[*prompt, label] for prompt in prompts for label in labels],
        "rid": list(rids),
        "sampling_params": {"max_new_tokens": 0, "temperature": 1.0},
        "return_logprob": True,
        # From the last token of the prompt on: SGLang takes from its cache what lies before this position, no more.
        "logprob_start_len": [len(prompt) - 1 for prompt in prompts for _ in labels],
    }
    if namespaces is not None:
        body["extra_key"] = [namespace for namespace in namespaces for _ in labels]
    return to_json(body | on_rank(rank))


def choice_body(
    prompts: Sequence[Sequence[int]],
    rids: Sequence[str],
    labels: Sequence[int],
    namespaces: Sequence[str] | None,
    rank: int | None = None,
) -> bytes:
    """Ask which label each prompt would go on with, if with any of them: one token, with all labels lifted alike.

    The bias is added to the logits before log-probabilities are taken (model_runner.py, ``_preprocess_logits``), so the
    most probable tokens are the labels, and their probabilities those among them. The token comes of the prompt's own
    prefill: nothing but the prompt is computed, and the token is not cached.

    Args:
        prompts: token ids.
        rids: one request id a prompt.
        labels: token ids.
        namespaces: as in :func:`label_body`.
        rank: as in :func:`label_body`.
    """
    sampling = {
        "max_new_tokens": 1,
        "temperature": 0.0,  # SGLang's log-probabilities are then those at temperature 1
        "ignore_eos": True,
        "logit_bias": {str(label): _ABOVE_ALL for label in labels},
    }
    body: dict[str, Any] = {
        "input_ids": list(prompts),
        "rid": list(rids),
        "sampling_params": [sampling] * len(rids),
        "return_logprob": True,
        "top_logprobs_num": len(labels),
    }
    if namespaces is not None:
        body["extra_key"] = list(namespaces)
    return to_json(body | on_rank(rank))


def router_label_body(rows: Sequence[Sequence[int]], rid: str, *, namespace: str | None) -> bytes:
    """The same through SGLang's router, which takes everything but the prompts once for all.

    Args:
        rows: a prompt with a label behind it each, all of the same length.
        rid: request id of the batch; the server calls its rows ``rid_0``, ``rid_1``, …
        namespace: cache namespace of all, or None.
    """
    body: dict[str, Any] = {
        "input_ids": rows,
        "rid": rid,
        "sampling_params": {"max_new_tokens": 0, "temperature": 1.0},
        "return_logprob": True,
        "logprob_start_len": len(rows[0]) - 2,
    }
    if namespace is not None:
        body["extra_key"] = namespace
    return to_json(body)


def read_labels(body: bytes, expected: int, labels: Sequence[int]) -> list[Verdict]:
    """Read log-probabilities, in the order of the labels.

    Args:
        body: the reply's body.
        expected: prompts that were sent.
        labels: token ids that were asked for.

    Raises:
        BrokenReplyError: it is not JSON of that shape.
    """
    each = len(labels)
    samples = _samples(body, expected * each)
    rows = [samples[place * each : (place + 1) * each] for place in range(expected)]
    return [Verdict(_of_one(row, labels), _usage(row)) for row in rows]


def read_choices(body: bytes, expected: int, labels: Sequence[int]) -> list[Verdict]:
    """Read the reply to :func:`choice_body`: probabilities, in the order of the labels.

    Args:
        body: the reply's body.
        expected: prompts that were sent.
        labels: token ids that were asked for.

    Raises:
        BrokenReplyError: it is not JSON of that shape, or the server did not heed the bias.
    """
    return [Verdict(_choice_of_one(sample, labels), _usage([sample])) for sample in _samples(body, expected)]


def _samples(body: bytes, expected: int) -> list[_Sample]:
    samples = read_json(_SAMPLES, body)
    if len(samples) != expected:
        raise BrokenReplyError(f"{len(samples)} samples for a batch of {expected}")
    return samples


def _usage(samples: Sequence[_Sample]) -> Usage:
    """What the prompts of one verdict cost together."""
    prompt_tokens = sum(sample.meta_info.prompt_tokens for sample in samples)
    return Usage(prompt_tokens, sum(sample.meta_info.cached_tokens for sample in samples))


def _choice_of_one(sample: _Sample, labels: Sequence[int]) -> tuple[float, ...] | None:
    positions = sample.meta_info.output_top_logprobs
    if not positions or not positions[0]:  # stopped before it was computed
        return None
    # A label far below another has a probability of 0 in 32 bits: orjson writes its -inf as null, or other tokens of 0
    # are told in its place.
    logprobs = {token: value for value, token, _ in positions[0] if value is not None}
    if not logprobs:
        return None
    weights = [math.exp(logprobs[label]) if label in logprobs else 0.0 for label in labels]
    total = math.fsum(weights)
    if not 0.99 < total < 1.01:
        raise BrokenReplyError(f"labels that were lifted above all other tokens have a probability of {total:g}")
    return tuple(weight / total for weight in weights)


def _of_one(samples: Sequence[_Sample], labels: Sequence[int]) -> tuple[float, ...] | None:
    values: list[float | None] = []
    for sample, label in zip(samples, labels, strict=True):
        positions = sample.meta_info.input_token_logprobs
        if not positions:  # stopped before it was computed
            return None
        value, token, _ = positions[-1]
        # In prompts SGLang calls the last id of the vocabulary 0, where images' placeholders would be
        # (logprob_result_processor.py, `x if x < vocab_size - 1 else 0`). The value is right.
        if token != label and (token != 0 or label != max(labels)):
            raise BrokenReplyError(f"the log-probability of token {token} instead of label {label}")
        values.append(value)
    # orjson writes -inf as null: a label without any probability is no failure unless all are.
    if all(value is None for value in values):
        return None
    return tuple(float("-inf") if value is None else value for value in values)
