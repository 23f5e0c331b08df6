"""``POST /generate``: one batch of samples of one prompt, and its reply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import to_json

from .broken import BrokenReplyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..sampling import SamplingParams

__all__ = ["WireSample", "generate_body", "read_samples", "sampling_fields", "warm_body"]

_RENAMED = {"seed": "sampling_seed"}


class WireFinish(BaseModel):
    """``meta_info.finish_reason``. Kinds that are not known pass through."""

    model_config = ConfigDict(extra="ignore", defer_build=True)

    type: str
    matched: Any = None
    message: str | None = None
    status_code: int | None = None


class WireMeta(BaseModel):
    """``meta_info``. A request aborted in the queue has hardly any of it, so only the id is required."""

    model_config = ConfigDict(extra="ignore", defer_build=True)

    id: str
    finish_reason: WireFinish | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    output_token_logprobs: list[Any] | None = None  # not validated: 122 KB of triples cost more than anybody reads


class WireSample(BaseModel):
    """One element of a reply."""

    model_config = ConfigDict(extra="ignore", defer_build=True)

    text: str = ""
    output_ids: list[int] = Field(default_factory=list[int])
    meta_info: WireMeta


_SAMPLES = TypeAdapter(list[WireSample], config=ConfigDict(defer_build=True))


def sampling_fields(params: SamplingParams) -> dict[str, Any]:
    """SGLang's ``sampling_params`` of these parameters; unset fields are left out (a null is a 500 in 0.5.10)."""
    fields = {_RENAMED.get(name, name): value for name, value in params.given().items()}
    if "logit_bias" in fields:
        fields["logit_bias"] = {str(token): bias for token, bias in fields["logit_bias"].items()}
    return fields


def generate_body(
    token_ids: Sequence[int],
    rids: Sequence[str],
    sampling: Sequence[dict[str, Any]],
    *,
    logprobs: bool,
    namespace: str | None,
    stream: bool = False,
) -> bytes:
    """A batch of samples of one prompt, each with its own request id so that it can be aborted alone.

    SGLang's own ``n=`` gives its samples ids that nobody knows, and warms the prefix in a request that no reply shows.

    Args:
        token_ids: the prompt.
        rids: one request id a sample.
        sampling: :func:`sampling_fields`, one a sample.
        logprobs: whether the reply shall hold a log-probability for each generated token.
        namespace: cache namespace, or None.
        stream: whether the reply shall come piece by piece.
    """
    body: dict[str, Any] = {
        "input_ids": [token_ids] * len(rids),
        "rid": list(rids),
        "sampling_params": list(sampling),
    }
    if logprobs:
        body["return_logprob"] = True  # of the output alone: a logprob_start_len >= 0 would switch prefix reuse off
    if stream:
        body["stream"] = True
    if namespace is not None:
        body["extra_key"] = [namespace] * len(rids)
    return to_json(body)


def warm_body(token_ids: Sequence[int], rid: str, namespace: str | None) -> bytes:
    """A request that only computes the prompt, so that those after it find it in the cache.

    Args:
        token_ids: the prompt.
        rid: request id.
        namespace: cache namespace, or None.
    """
    return generate_body(token_ids, [rid], [{"max_new_tokens": 0}], logprobs=False, namespace=namespace)


def read_samples(body: bytes, expected: int) -> list[WireSample]:
    """Read the reply to a batch.

    Args:
        body: the reply's body.
        expected: samples that were asked for.

    Raises:
        BrokenReplyError: it is not JSON of that shape.
    """
    try:
        samples = _SAMPLES.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise BrokenReplyError(f"{where or 'the body'}: {first['msg']}") from None
    if len(samples) != expected:
        raise BrokenReplyError(f"{len(samples)} samples for a batch of {expected}")
    return samples
