"""``POST /classify``: what a reward head says of prompts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from ..usage import Usage
from .broken import BrokenReplyError
from .codec import to_json
from .verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["read_rewards", "reward_body"]


class _Finish(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)

    type: str


class _Meta(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)

    finish_reason: _Finish | None = None
    prompt_tokens: int = 0


class _Sample(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)

    embedding: list[float | None] | None = None  # SGLang's name for the outputs of whatever head there is
    meta_info: _Meta


_SAMPLES = TypeAdapter(list[_Sample], config=ConfigDict(defer_build=True))


def reward_body(prompts: Sequence[Sequence[int]], rids: Sequence[str]) -> bytes:
    """Ask for the head's outputs at the last token of each prompt. The endpoint knows no ``extra_key``.

    Args:
        prompts: token ids.
        rids: one request id a prompt.
    """
    return to_json({"input_ids": list(prompts), "rid": list(rids)})


def read_rewards(body: bytes, expected: int) -> list[Verdict]:
    """Read the reply.

    Args:
        body: the reply's body.
        expected: prompts that were sent.

    Returns:
        For each prompt the outputs of the head; no numbers where there are none or one is none.

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
    return [Verdict(_outputs(sample), Usage(sample.meta_info.prompt_tokens)) for sample in samples]


def _outputs(sample: _Sample) -> tuple[float, ...] | None:
    values, finish = sample.embedding, sample.meta_info.finish_reason
    if values is None:
        if finish is not None and finish.type == "abort":  # it was stopped in the queue
            return None
        raise BrokenReplyError("a sample without the outputs of a head")
    found = tuple(value for value in values if value is not None and math.isfinite(value))
    return found if found and len(found) == len(values) else None
