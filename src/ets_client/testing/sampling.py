"""Sampling parameters as SGLang's ``sampling_params.py`` takes and refuses them. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .shapes import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .dialect import Dialect
    from .tokenizer import Tokenizer

__all__ = ["GRAMMARS", "CrashError", "FatalError", "RefusedError", "Sampling", "read_sampling"]

_WHOLE_VOCABULARY = 1 << 30
_LARGEST_INT = (1 << 31) - 1
_LARGEST_ID = (1 << 63) - 1
_LARGEST_FLOAT = 3.4e38
_LEAST_FLOAT = 1e-44
_FLOATS = {
    "temperature": 1.0,
    "top_p": 1.0,
    "min_p": 0.0,
    "frequency_penalty": 0.0,
    "presence_penalty": 0.0,
    "repetition_penalty": 1.0,
}
_INTS = {"top_k": -1, "min_new_tokens": 0, "n": 1}
_BOOLS = {
    "ignore_eos": False,
    "skip_special_tokens": True,
    "spaces_between_special_tokens": True,
    "no_stop_trim": False,
}
GRAMMARS = ("json_schema", "regex", "ebnf", "structural_tag")
_OTHERS = {
    "max_new_tokens",
    "stop",
    "stop_token_ids",
    "stop_regex",
    "logit_bias",
    "sampling_seed",
    "custom_params",
    "stream_interval",
}
_NAMES = frozenset({*_FLOATS, *_INTS, *_BOOLS, *GRAMMARS, *_OTHERS})


class RefusedError(ValueError):
    """A ``ValueError`` inside SGLang: a 400 whose ``error`` is an object with a message."""


class CrashError(Exception):
    """Another exception inside SGLang: a 500 of plain text, or a stream that breaks off."""


class FatalError(Exception):
    """An exception in SGLang's scheduler: the server dies of the request."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Parameters that SGLang accepts, with its defaults."""

    max_new_tokens: int | None = 128
    min_new_tokens: int = 0
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = _WHOLE_VOCABULARY
    min_p: float = 0.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repetition_penalty: float = 1.0
    n: int = 1
    stop: tuple[str, ...] = ()
    stop_regex: tuple[str, ...] = ()
    stop_token_ids: frozenset[int] = frozenset()
    ignore_eos: bool = False
    skip_special_tokens: bool = True
    no_stop_trim: bool = False
    logit_bias: Mapping[int, float] = field(default_factory=dict[int, float])
    seed: int | None = None
    stream_interval: int | None = None
    stop_window: int = 0
    """Tokens at the end of the output in which a stop is looked for."""

    @property
    def is_greedy(self) -> bool:
        """Whether the most probable token is always taken."""
        return self.top_k == 1

    @property
    def is_plain(self) -> bool:
        """Whether nothing but a draw at temperature 1 is asked for."""
        return (
            self.temperature == 1.0
            and self.top_p == 1.0
            and self.top_k == _WHOLE_VOCABULARY
            and self.min_p == 0.0
            and not self.logit_bias
            and self.min_new_tokens == 0
            and self.frequency_penalty == 0.0
            and self.presence_penalty == 0.0
            and self.repetition_penalty == 1.0
        )


def read_sampling(given: Any, dialect: Dialect, tokenizer: Tokenizer) -> Sampling:
    """Read one ``sampling_params`` object.

    Args:
        given: what was sent.
        dialect: which version reads it.
        tokenizer: the server's.

    Raises:
        RefusedError: a value that SGLang refuses, with its words.
        CrashError: one that its Python stumbles over.
        FatalError: one that kills it.
    """
    if not is_object(given):
        raise CrashError(f"sampling_params of type {type(given).__name__}")
    fields = given
    unknown = [name for name in fields if name not in _NAMES and name not in dialect.more_sampling_fields]
    if unknown:
        raise CrashError(f"unexpected keyword argument {unknown[0]!r}")
    values: dict[str, Any] = {}
    for name, default in {**_FLOATS, **_INTS}.items():
        value = fields.get(name)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise CrashError(f"{name} of type {type(value).__name__}")
        values[name] = value
    for name, default in _BOOLS.items():
        value = fields.get(name)
        values[name] = default if value is None else bool(value)
    most = fields.get("max_new_tokens", 128)
    if most is not None and (isinstance(most, bool) or not isinstance(most, int | float)):
        raise CrashError(f"max_new_tokens of type {type(most).__name__}")
    _check_ranges(values, most)
    bias = _read_bias(fields.get("logit_bias"), tokenizer.vocab_size)
    grammars = [name for name in GRAMMARS if fields.get(name) and (name != "structural_tag" or dialect.counts_tags)]
    if len(grammars) > 1:
        raise RefusedError(dialect.one_grammar)
    if isinstance(most, float):
        message = f"max_new_tokens = {most!r}: the scheduler cannot decode a float where it takes an integer"
        raise FatalError(message) if dialect.float_limit_is_fatal else CrashError(message)
    stops, vocab_size = _token_ids(fields.get("stop_token_ids")), tokenizer.vocab_size
    _check_what_kills(values, stops, vocab_size)
    if dialect.nan_is_fatal:
        _check_something_is_left(values, bias, stops, vocab_size, has_grammar=bool(grammars))
    stop, patterns = _texts(fields.get("stop"), "stop"), _texts(fields.get("stop_regex"), "stop_regex")
    window = max([len(tokenizer.encode(text, add_special_tokens=False)) for text in stop], default=0)
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise CrashError(f"stop_regex {pattern!r}: {error}") from None
        window = _WHOLE_VOCABULARY  # our window for patterns is all of the output: a superset of SGLang's
    temperature, top_k = float(values["temperature"]), values["top_k"]
    if temperature < 1e-6:
        temperature, top_k = 1.0, 1
    return Sampling(
        max_new_tokens=most,
        min_new_tokens=int(values["min_new_tokens"]),
        temperature=temperature,
        top_p=values["top_p"],
        top_k=_WHOLE_VOCABULARY if top_k == -1 else int(top_k),
        min_p=values["min_p"],
        frequency_penalty=values["frequency_penalty"],
        presence_penalty=values["presence_penalty"],
        repetition_penalty=values["repetition_penalty"],
        n=values["n"],
        stop=stop,
        stop_regex=patterns,
        stop_token_ids=stops,
        ignore_eos=values["ignore_eos"],
        skip_special_tokens=values["skip_special_tokens"],
        no_stop_trim=values["no_stop_trim"],
        logit_bias=bias,
        seed=fields.get("sampling_seed"),
        stream_interval=fields.get("stream_interval"),
        stop_window=window,
    )


def _check_ranges(values: dict[str, Any], most: float | None) -> None:
    temperature, top_k, least = values["temperature"], values["top_k"], values["min_new_tokens"]
    if not math.isfinite(temperature) or temperature < 0:
        raise RefusedError(f"temperature must be a non-negative finite number, got {temperature}.")
    if not 0 < values["top_p"] <= 1:
        raise RefusedError(f"top_p must be in (0, 1], got {values['top_p']}.")
    if not 0 <= values["min_p"] <= 1:
        raise RefusedError(f"min_p must be in [0, 1], got {values['min_p']}.")
    if top_k < 1 and top_k != -1 and temperature >= 1e-6:
        raise RefusedError(f"top_k must be -1 (disable) or at least 1, got {top_k}.")
    for name in ("frequency_penalty", "presence_penalty"):
        if not -2 <= values[name] <= 2:
            raise RefusedError(f"{name} must be in [-2, 2], got {values[name]}.")
    if not 0 < values["repetition_penalty"] <= 2:
        raise RefusedError(
            f"repetition_penalty must be in (0, 2] (1.0 = no penalty), got {values['repetition_penalty']}."
        )
    if least < 0:
        raise RefusedError(f"min_new_tokens must be in [0, max_new_tokens], got {least}.")
    if most is not None:
        if most < 0:
            raise RefusedError(f"max_new_tokens must be at least 0, got {most}.")
        if least > most:
            raise RefusedError(f"min_new_tokens must be in [0, max_new_tokens({most})], got {least}.")


def _check_what_kills(values: dict[str, Any], stops: frozenset[int], vocab_size: int) -> None:
    """Values that SGLang takes and then dies of, as seen with 0.5.18 and 0.5.23."""
    if values["top_k"] > _LARGEST_INT:
        raise FatalError(f"top_k = {values['top_k']} does not fit into 32 bits")
    if values["min_new_tokens"] > 0 and any(vocab_size <= token <= _LARGEST_ID for token in stops):
        raise FatalError("a stop token outside the vocabulary, with min_new_tokens")


def _check_something_is_left(
    values: dict[str, Any], bias: dict[int, float], stops: frozenset[int], vocab_size: int, *, has_grammar: bool
) -> None:
    """Values that are infinite or zero in 32 bits, or forbid every token: 0.5.18 dies of the NaN that comes of it."""
    temperature = max(1e-6, values["temperature"])
    if temperature > _LARGEST_FLOAT and (has_grammar or values["min_new_tokens"]):
        raise FatalError("an infinite temperature, and tokens that are forbidden")
    if max(map(abs, bias.values()), default=0.0) / min(1.0, temperature) > _LARGEST_FLOAT:
        raise FatalError("a logit_bias that is infinite in 32 bits")
    if values["repetition_penalty"] < _LEAST_FLOAT:
        raise FatalError(f"repetition_penalty = {values['repetition_penalty']:g} is 0 in 32 bits")
    if values["min_new_tokens"] > 0 and len(stops) >= vocab_size:
        raise FatalError("every token is held back by min_new_tokens")


def _read_bias(given: Any, vocab_size: int) -> dict[int, float]:
    if given is None:
        return {}
    if not is_object(given):
        raise CrashError(f"logit_bias of type {type(given).__name__}")
    bias: dict[int, float] = {}
    for key, value in given.items():
        try:
            token = int(key)
        except ValueError as error:
            raise RefusedError(str(error)) from None
        if not 0 <= token < vocab_size:
            raise RefusedError(f"logit_bias must has keys in [0, {vocab_size - 1}], got {key}.")
        bias[token] = float(value)
    return bias


def _texts(given: Any, name: str) -> tuple[str, ...]:
    if given is None:
        return ()
    listed = [given] if isinstance(given, str) else given
    if not is_list(listed) or not all(isinstance(text, str) for text in listed):
        raise CrashError(f"{name} of type {type(given).__name__}")
    return tuple(listed)


def _token_ids(given: Any) -> frozenset[int]:
    if not given:
        return frozenset()
    if not is_list(given):
        raise CrashError(f"stop_token_ids of type {type(given).__name__}")
    tokens = given
    try:
        return frozenset(int(token) for token in tokens if token is not None)
    except ValueError as error:
        raise RefusedError(str(error)) from None
    except TypeError as error:
        raise CrashError(str(error)) from None
