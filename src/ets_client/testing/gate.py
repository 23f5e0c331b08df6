"""The strict check of types that 0.5.23 puts before its own. Pure."""

from __future__ import annotations

from typing import Any

from .shapes import is_list, is_object

__all__ = ["check_gate"]

_INTS = frozenset({"max_new_tokens", "min_new_tokens", "top_k", "n", "sampling_seed", "stream_interval", "beam_width"})
_FLOATS = frozenset({"temperature", "top_p", "min_p", "frequency_penalty", "presence_penalty", "repetition_penalty"})
_BOOLS = frozenset({"ignore_eos", "skip_special_tokens", "spaces_between_special_tokens", "no_stop_trim"})
_TEXTS = frozenset({"json_schema", "regex", "ebnf", "structural_tag"})
_KNOWN = (
    "max_new_tokens", "stop", "stop_token_ids", "stop_regex", "temperature", "top_p", "top_k", "min_p",
    "frequency_penalty", "presence_penalty", "repetition_penalty", "min_new_tokens", "n", "json_schema", "regex",
    "ebnf", "structural_tag", "ignore_eos", "skip_special_tokens", "spaces_between_special_tokens", "no_stop_trim",
    "stream_interval", "logit_bias", "sampling_seed", "custom_params", "beam_width", "watermark", "choice",
)  # fmt: skip
_MOST_STOPS = 32
_LONGEST_PATTERN = 256


def check_gate(fields: dict[str, Any]) -> str | None:
    """What the gate says of a request, or None when it passes.

    Args:
        fields: the JSON body.
    """
    rid = fields.get("rid")
    if is_list(rid) and not all(isinstance(each, str) for each in rid):
        return "invalid type at rid: expected a string"
    if fields.get("return_prompt_token_ids", False) is None:
        return "invalid type at return_prompt_token_ids: expected a boolean, got null"
    priority = fields.get("priority")
    if priority is not None and (not isinstance(priority, int) or not -(2**63) <= priority < 2**63):
        return "invalid type at priority: expected an integer"
    if isinstance(fields.get("return_hidden_states"), str):
        return "invalid type at return_hidden_states: expected a boolean"
    given = fields.get("sampling_params")
    empty: dict[str, Any] = {}
    for params in given if is_list(given) else [given or empty]:
        if not is_object(params):
            return "invalid type at sampling_params: expected an object"
        for name, value in params.items():
            complaint = _check_sampling(name, value)
            if complaint is not None:
                return complaint
    return None


def _check_sampling(name: str, value: Any) -> str | None:
    where = f"sampling_params.{name}"
    if name not in _KNOWN:
        return f"unknown field `{name}`, expected one of {', '.join(f'`{known}`' for known in _KNOWN)}"
    if value is None:
        return None
    is_int = isinstance(value, int) and not isinstance(value, bool)
    if name in _INTS and not is_int:
        return f"invalid type: {_shown(value)}, expected i64"
    if name in _FLOATS and not is_int and not isinstance(value, float):
        return f"invalid type: {_shown(value)}, expected f64"
    if name in _BOOLS and not isinstance(value, bool):
        return f"invalid type: {_shown(value)}, expected a boolean"
    if name in _TEXTS and not isinstance(value, str):
        return f"invalid type: {_shown(value)}, expected a string"
    if name in {"stop", "stop_regex"}:
        texts: list[Any] = value if is_list(value) else [value]
        if not all(isinstance(text, str) for text in texts):
            return f"invalid type at {where}: expected a string or a list of strings"
        if len(texts) > _MOST_STOPS:
            return f"too many entries at {where}: at most {_MOST_STOPS}"
        if name == "stop_regex" and any(len(str(text).encode()) > _LONGEST_PATTERN for text in texts):
            return f"too long a pattern at {where}: at most {_LONGEST_PATTERN} bytes"
    return None


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return f"boolean `{str(value).lower()}`"
    if isinstance(value, int):
        return f"integer `{value}`"
    if isinstance(value, float):
        return f"floating point `{value}`"
    if isinstance(value, str):
        return f'string "{value}"'
    return "sequence" if is_list(value) else "map"
