"""``POST /generate``: one batch of samples of one prompt, and its reply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Raw, Struct, field
from msgspec.json import Decoder

from .broken import BrokenReplyError
from .codec import read_json, to_json
from .logprobs import logprob_fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..logprobs import LogprobOptions
    from ..sampling import SamplingParams

__all__ = [
    "WireSample",
    "generate_body",
    "on_rank",
    "read_samples",
    "router_body",
    "sampling_fields",
    "server_n_body",
    "warm_body",
]

_RENAMED = {"seed": "sampling_seed"}


class WireFinish(Struct, kw_only=True, gc=False):  # JSON has no cycles
    """``meta_info.finish_reason``. Kinds that are not known pass through."""

    type: str
    matched: Any = None
    message: str | None = None
    status_code: int | None = None


class WireMeta(Struct, kw_only=True, gc=False):
    """``meta_info``. A request aborted in the queue has hardly any of it, so only the id is required.

    Log-probabilities are left where they are: :mod:`.logprobs` reads them when somebody looks.
    """

    id: str
    finish_reason: WireFinish | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    num_retractions: int | None = None
    weight_version: str | None = None


class WireSample(Struct, kw_only=True, gc=False):
    """One element of a reply."""

    text: str = ""
    output_ids: list[int] = field(default_factory=list[int])
    meta_info: WireMeta


_SAMPLES = Decoder(list[WireSample])


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
    logprobs: LogprobOptions | None,
    namespace: str | None,
    stream: bool = False,
    rank: int | None = None,
) -> bytes:
    """A batch of samples of one prompt, each with its own request id so that it can be aborted alone.

    Args:
        token_ids: the prompt.
        rids: one request id a sample.
        sampling: :func:`sampling_fields`, one a sample.
        logprobs: which log-probabilities the reply shall hold, or None.
        namespace: cache namespace, or None.
        stream: whether the reply shall come piece by piece.
        rank: data-parallel rank that shall compute it, or None for the server's choice.
    """
    body: dict[str, Any] = {
        "input_ids": _repeated(token_ids, len(rids)),
        "rid": list(rids),
        "sampling_params": _written(sampling),
        **logprob_fields(logprobs, len(rids)),
    }
    if stream:
        body["stream"] = True
    if namespace is not None:
        body["extra_key"] = [namespace] * len(rids)
    return to_json(body | on_rank(rank))


def server_n_body(
    token_ids: Sequence[int],
    rid: str,
    n: int,
    sampling: dict[str, Any],
    *,
    logprobs: LogprobOptions | None,
    namespace: str | None,
    stream: bool = False,
    rank: int | None = None,
) -> bytes:
    """One prompt with SGLang's own ``n=``. The server computes it first, and gives each sample an id of its own.

    Args:
        token_ids: the prompt.
        rid: request id. It goes as a list of one: a bare one leaks before 0.5.23, and SIGTERM then never ends.
        n: samples.
        sampling: :func:`sampling_fields` of all of them.
        logprobs: which log-probabilities the reply shall hold, without chosen ids, or None.
        namespace: cache namespace, or None.
        stream: whether the reply shall come piece by piece.
        rank: data-parallel rank that shall compute it, or None for the server's choice.
    """
    # One prompt as a batch of one: the sampling has to be a list too, or 0.5.14 refuses it.
    return generate_body(
        token_ids, [rid], [{**sampling, "n": n}], logprobs=logprobs, namespace=namespace, stream=stream, rank=rank
    )


def router_body(
    token_ids: Sequence[int],
    samples: int,
    rid: str,
    sampling: dict[str, Any],
    *,
    namespace: str | None,
    logprobs: LogprobOptions | None = None,
    stream: bool = False,
) -> bytes:
    """A batch of samples of one prompt as SGLang's routers take it: all but the prompt is given once, for all samples.

    Args:
        token_ids: the prompt.
        samples: how many.
        rid: request id of the batch; the server calls its samples ``rid_0``, ``rid_1``, …
        sampling: :func:`sampling_fields` of all of them.
        namespace: cache namespace, or None.
        logprobs: which log-probabilities the reply shall hold, without chosen ids, or None.
        stream: whether the reply shall come piece by piece.
    """
    body: dict[str, Any] = {
        "input_ids": _repeated(token_ids, samples),
        "rid": rid,
        "sampling_params": sampling,
        **logprob_fields(logprobs, samples),
    }
    if stream:
        body["stream"] = True
    if namespace is not None:
        body["extra_key"] = namespace
    return to_json(body)


def warm_body(token_ids: Sequence[int], rid: str, namespace: str | None, rank: int | None = None) -> bytes:
    """A request that only computes the prompt, so that those after it find it in the cache.

    Args:
        token_ids: the prompt.
        rid: request id.
        namespace: cache namespace, or None.
        rank: data-parallel rank that shall compute it, or None for the server's choice.
    """
    return generate_body(token_ids, [rid], [{"max_new_tokens": 0}], logprobs=None, namespace=namespace, rank=rank)


def on_rank(rank: int | None) -> dict[str, int]:
    """The field that sends all samples of a request to one data-parallel rank; every version since 0.5.10 has it."""
    return {} if rank is None else {"routed_dp_rank": rank}


def _written(sampling: Sequence[dict[str, Any]]) -> list[Any]:
    """The sampling of each sample; what is the same for all of them is written once."""
    first = sampling[0]
    if len(sampling) > 1 and all(fields is first for fields in sampling):
        return [Raw(to_json(first))] * len(sampling)
    return list(sampling)


def _repeated(token_ids: Sequence[int], samples: int) -> list[Raw]:
    """A prompt for each sample, written once, however many there are."""
    return [Raw(to_json(token_ids))] * samples


def read_samples(body: bytes, expected: int) -> list[WireSample]:
    """Read the reply to a batch.

    Args:
        body: the reply's body.
        expected: samples that were asked for.

    Raises:
        BrokenReplyError: it is not JSON of that shape.
    """
    samples = read_json(_SAMPLES, body)
    if len(samples) != expected:
        raise BrokenReplyError(f"{len(samples)} samples for a batch of {expected}")
    return samples
