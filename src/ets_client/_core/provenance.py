"""Who decided each sampling field of a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from ..effective_sampling import EffectiveField, EffectiveSampling, SamplingSource
from ..sampling import SamplingParams
from .settle import path_settings, settle, step_settings

if TYPE_CHECKING:
    from ..prefix import Prefix
    from ..profiles import Profile
    from ..server_info import ServerInfo

__all__ = ["effective_sampling"]

# sglang/srt/sampling/sampling_params.py; what is not here is off
_SGLANG: dict[str, object] = {
    "min_new_tokens": 0,
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": -1,
    "min_p": 0.0,
    "frequency_penalty": 0.0,
    "presence_penalty": 0.0,
    "repetition_penalty": 1.0,
    "ignore_eos": False,
    "skip_special_tokens": True,
    "spaces_between_special_tokens": True,
}
_RENAMED = {"sampling_seed": "seed"}


def effective_sampling(
    call: SamplingParams,
    client: SamplingParams,
    profile: Profile,
    info: ServerInfo,
    prefix: Prefix,
    kind: Literal["expand", "generate"],
) -> EffectiveSampling:
    """Say what would be sent, what the server would add, and why.

    Args:
        call: fields of the call.
        client: fields of the client.
        profile: steps and default sampling.
        info: the server.
        prefix: where to go on.
        kind: whether it is a step or a continuation through all steps.

    Raises:
        InvalidRequestError: there is no room for another token, or fields do not fit together.
    """
    asked = call.over(client)
    settings = step_settings(profile, asked) if kind == "expand" else path_settings(profile, asked)
    sent, limit = settle(settings, prefix, info, None)
    values = sent.given()
    told = {_RENAMED.get(name, name): value for name, value in info.preferred_sampling.items()}
    layers = [
        (SamplingSource.CALL, call.given()),
        (SamplingSource.CLIENT, client.given()),
        # Delimiters, the length of a step and that of a path are the profile's too.
        (SamplingSource.PROFILE, values),
        (SamplingSource.SERVER, told),
    ]
    length = _length(limit.tokens, settings.step_tokens, settings.path_tokens, prefix)
    fields: list[EffectiveField] = []
    for name in SamplingParams.model_fields:
        source = next((source for source, fields_of in layers if name in fields_of), SamplingSource.SGLANG)
        value = values.get(name, told.get(name, _SGLANG.get(name)))
        note = ""
        if name == "max_new_tokens" and length is not None:
            source, note = length
        elif name == "min_new_tokens" and value != settings.sampling.given().get(name, value):
            note = "no more than max_new_tokens"
        elif name == "seed":
            value, source, note = _seed(value, source, info)
        fields.append(EffectiveField(name, value, source, note))
    others: list[Any] = sorted(told.keys() - set(SamplingParams.model_fields))
    return EffectiveSampling((*fields, *(EffectiveField(name, told[name], SamplingSource.SERVER) for name in others)))


def _length(
    tokens: int, step_tokens: int | None, path_tokens: int | None, prefix: Prefix
) -> tuple[SamplingSource, str] | None:
    """Who limits a step that is shorter than it was asked to be, or None."""
    if tokens == step_tokens:
        return None
    if path_tokens is not None and tokens == path_tokens - (len(prefix) - len(prefix.root)):
        return SamplingSource.PROFILE, f"the room left in a path of {path_tokens}"
    return SamplingSource.SERVER, "the room left in its context and cache"


def _seed(seed: object, source: SamplingSource, info: ServerInfo) -> tuple[object, SamplingSource, str]:
    if not info.is_deterministic:
        return seed, source, "" if seed is None else "ignored: the server is not deterministic"
    if seed is None or source is SamplingSource.SERVER:
        return None, SamplingSource.CLIENT, "drawn for each call"
    return seed, source, "sibling i has seed + i"
