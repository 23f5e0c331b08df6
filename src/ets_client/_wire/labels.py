"""``POST /generate`` for the probabilities of a few next tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import to_json

from .broken import BrokenReplyError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["label_body", "read_label_logprobs"]


class _Meta(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)

    output_token_ids_logprobs: list[list[tuple[float | None, int, str | None]] | None] | None = None


class _Sample(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)

    meta_info: _Meta


_SAMPLES = TypeAdapter(list[_Sample], config=ConfigDict(defer_build=True))


def label_body(
    prompts: Sequence[Sequence[int]], rids: Sequence[str], labels: Sequence[int], namespaces: Sequence[str | None]
) -> bytes:
    """Ask for log-probabilities of the labels after each prompt; one token is generated and thrown away.

    Args:
        prompts: token ids.
        rids: one request id a prompt.
        labels: token ids.
        namespaces: cache namespace of each prompt, or None.
    """
    body: dict[str, Any] = {
        "input_ids": list(prompts),
        "rid": list(rids),
        # SGLang divides by the temperature before it takes the logarithm.
        "sampling_params": {"max_new_tokens": 1, "temperature": 1.0},
        "return_logprob": True,
        "token_ids_logprob": [list(labels)] * len(rids),
    }
    if any(namespace is not None for namespace in namespaces):
        body["extra_key"] = [namespace or "" for namespace in namespaces]
    return to_json(body)


def read_label_logprobs(body: bytes, expected: int, labels: Sequence[int]) -> list[tuple[float, ...] | None]:
    """Read the reply.

    Args:
        body: the reply's body.
        expected: prompts that were sent.
        labels: token ids that were asked for.

    Returns:
        For each prompt the log-probabilities in the order of the labels, or None where the server gave none.

    Raises:
        BrokenReplyError: it is not JSON of that shape.
    """
    try:
        samples = _SAMPLES.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise BrokenReplyError(f"{'.'.join(map(str, first['loc'])) or 'the body'}: {first['msg']}") from None
    if len(samples) != expected:
        raise BrokenReplyError(f"{len(samples)} samples for a batch of {expected}")
    return [_of_one(sample, labels) for sample in samples]


def _of_one(sample: _Sample, labels: Sequence[int]) -> tuple[float, ...] | None:
    positions = sample.meta_info.output_token_ids_logprobs
    if not positions or positions[0] is None:
        return None
    found = {token: value for value, token, _ in positions[0]}
    values = [found.get(label) for label in labels]
    # orjson writes -inf as null: a label without any probability is no failure unless all are.
    if any(label not in found for label in labels) or all(value is None for value in values):
        return None
    return tuple(float("-inf") if value is None else value for value in values)
