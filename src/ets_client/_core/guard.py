"""Refuse what is known to kill or confuse a server, before it leaves. Sources: contract tests against SGLang."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal, TypeGuard

from ..branch import Branch
from ..errors import ConfigurationError, InvalidRequestError
from ..prefix import Prefix
from ..sampling import SamplingParams

__all__ = [
    "check_admission",
    "check_fits",
    "check_flag",
    "check_ids",
    "check_namespace",
    "check_origin",
    "check_partial",
    "check_path",
    "check_paths",
    "check_samples",
    "check_sampling",
    "check_text",
    "check_timeout",
    "check_token_fields",
    "check_wait",
    "check_weight",
    "is_items",
    "is_number",
]

MOST_SAMPLES = 4096
_LONGEST_SECONDS = 1e9
_MOST_IN_FLIGHT = 1_000_000
_LONGEST_INTERVAL = 10.0


def is_items(value: object) -> TypeGuard[Sequence[object]]:
    """Whether it is a list or the like, and no text or bytes, which are sequences too."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray | memoryview)


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether it is a number; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_samples(n: object) -> int:
    """Check the number of samples of an expand; SGLang accepts 0 and -1 and does something else.

    Args:
        n: what the caller gave.

    Returns:
        The number.

    Raises:
        InvalidRequestError: it is not an int from 1 to 4096.
    """
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= MOST_SAMPLES:
        raise InvalidRequestError("n", n, f"a whole number from 1 to {MOST_SAMPLES}")
    return n


def check_text(text: object, argument: str = "text") -> str:
    """Check a text: an empty prompt kills SGLang 0.5.23, a lone surrogate is no UTF-8.

    Args:
        text: what the caller gave.
        argument: its name.

    Returns:
        The text.

    Raises:
        InvalidRequestError: it is no text, empty, or cannot be encoded.
    """
    if not isinstance(text, str) or not text:
        raise InvalidRequestError(argument, text, "a text of at least one character")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequestError(argument, text, f"text that UTF-8 can hold; character {error.start} is not") from None
    return text


def check_namespace(namespace: str | None) -> str | None:
    """Check a cache namespace; SGLang takes an empty one for none.

    Raises:
        InvalidRequestError: it is empty or cannot be encoded.
    """
    return None if namespace is None else check_text(namespace, "namespace")


def check_ids(ids: object, vocab_size: int | None, argument: str = "token_ids") -> tuple[int, ...]:
    """Check token ids of a caller: one outside the vocabulary kills the server, on CPU and GPU alike.

    Args:
        ids: what the caller gave.
        vocab_size: rows of the model's embedding table, or None when nobody knows it.
        argument: its name.

    Returns:
        The ids.

    Raises:
        InvalidRequestError: it is no sequence, there are none, one is out of range, or the range is unknown.
    """
    if not is_items(ids) or not ids:
        raise InvalidRequestError(argument, ids, "a list of at least one token id")
    if vocab_size is None:
        raise InvalidRequestError(
            argument,
            list(ids[:8]),
            "ids can only be checked when the vocabulary size is known: give the client a profile whose "
            "model.vocab_size is set, or use text",
        )
    checked: list[int] = []
    for place, token in enumerate(ids):
        if isinstance(token, bool) or not isinstance(token, int) or not 0 <= token < vocab_size:
            raise InvalidRequestError(f"{argument}[{place}]", token, f"a whole number from 0 to {vocab_size - 1}")
        checked.append(token)
    return tuple(checked)


def check_path(given: object, tokenizer: str, argument: str = "prefix") -> Prefix:
    """Check a path that a call needs as it is, without making one of text or ids.

    Args:
        given: what the caller gave: a prefix, or a branch, whose prefix is taken.
        tokenizer: the server's.
        argument: its name.

    Returns:
        The prefix.

    Raises:
        InvalidRequestError: it is something else, or another tokenizer's.
    """
    if isinstance(given, Branch):
        given = given.prefix
    if not isinstance(given, Prefix):
        raise InvalidRequestError(argument, given, "a Prefix or a Branch; `await client.prefix(...)` makes one")
    check_origin(given, tokenizer)
    return given


def check_paths(given: object, tokenizer: str) -> list[Prefix]:
    """Check several paths: a sequence of what :func:`check_path` takes.

    Args:
        given: what the caller gave.
        tokenizer: the server's.

    Raises:
        InvalidRequestError: it is no sequence, or one of them is no path of this tokenizer.
    """
    if not is_items(given):
        raise InvalidRequestError("prefixes", given, "a list of prefixes or branches")
    return [check_path(path, tokenizer, f"prefixes[{place}]") for place, path in enumerate(given)]


def check_origin(prefix: Prefix, tokenizer: str) -> None:
    """Check that a prefix was made for this server's tokenizer: other ids would be another text.

    Raises:
        InvalidRequestError: it was not.
    """
    if prefix.origin.tokenizer != tokenizer:
        raise InvalidRequestError(
            "prefix", prefix, f"it belongs to tokenizer {prefix.origin.tokenizer!r}, this server has {tokenizer!r}"
        )


def check_fits(length: int, max_input_tokens: int | None) -> None:
    """Check the length of a prompt.

    Args:
        length: tokens of the prompt.
        max_input_tokens: the server takes prompts shorter than this; None when it is not told, and the server checks.

    Raises:
        InvalidRequestError: the prompt is too long.
    """
    if max_input_tokens is not None and length >= max_input_tokens:
        raise InvalidRequestError("prefix", f"{length} tokens", f"this server takes at most {max_input_tokens - 1}")


@cache
def _nothing_asked() -> SamplingParams:
    return SamplingParams()


def check_sampling(sampling: object) -> SamplingParams:
    """Check what was given as sampling.

    Args:
        sampling: what the caller gave; None for nothing.

    Raises:
        InvalidRequestError: it is something else than :class:`SamplingParams`.
    """
    if sampling is None:
        return _nothing_asked()
    if not isinstance(sampling, SamplingParams):
        raise InvalidRequestError("sampling", sampling, "SamplingParams(...), or None")
    return sampling


def check_token_fields(sampling: SamplingParams, vocab_size: int | None) -> None:
    """Check token ids in sampling fields that the server does not check; those of ``logit_bias`` it refuses itself.

    SGLang 0.5.18 does not check ``stop_token_ids``, and writes to these places of a table when there is a
    ``min_new_tokens``: one outside the vocabulary kills it, and so does a place for every token.

    Args:
        sampling: all fields of a call.
        vocab_size: rows of the model's embedding table, or None when nobody knows it.

    Raises:
        InvalidRequestError: an id is out of range, or the range is unknown and ids of it are dangerous.
    """
    stops = sampling.stop_token_ids or ()
    if vocab_size is None:
        if stops and sampling.min_new_tokens:
            raise InvalidRequestError(
                "sampling.stop_token_ids",
                stops,
                "with min_new_tokens only when the vocabulary size is known: give the client a profile whose "
                "model.vocab_size is set",
            )
        return
    if sampling.min_new_tokens and 2 * len(set(stops)) > vocab_size:
        raise InvalidRequestError(
            "sampling.stop_token_ids", stops, "with min_new_tokens at most half of the vocabulary"
        )
    for token in stops:
        if token >= vocab_size:
            raise InvalidRequestError("sampling.stop_token_ids", token, f"token ids from 0 to {vocab_size - 1}")


def check_flag(value: object, argument: str) -> bool:
    """Check a yes or no.

    Args:
        value: what the caller gave.
        argument: its name.

    Raises:
        InvalidRequestError: it is something else.
    """
    if not isinstance(value, bool):
        raise InvalidRequestError(argument, value, "True or False")
    return value


def check_admission(value: object) -> None:
    """Check a limit of samples in flight.

    Args:
        value: what the caller gave.

    Raises:
        ConfigurationError: it is no number of samples, nor ``adaptive``, nor None.
    """
    if value is None or value == "adaptive":
        return
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST_IN_FLIGHT:
        raise ConfigurationError(f"admission = {value!r}: 'adaptive', 1 to {_MOST_IN_FLIGHT} samples, or None")


def check_departure_interval(seconds: object) -> float | None:
    """Check the time from one departure to the next.

    Args:
        seconds: what the caller gave.

    Raises:
        ConfigurationError: it is no number of seconds that an expand should wait, nor None.
    """
    if seconds is None:
        return None
    if not is_number(seconds) or not 0 < seconds <= _LONGEST_INTERVAL:
        raise ConfigurationError(
            f"departure_interval = {seconds!r}: seconds above 0 (0.048 is 48 ms), {_LONGEST_INTERVAL:g} at most, or "
            "None to let expands leave as they become ready"
        )
    return float(seconds)


def check_partial(value: object) -> Literal["raise", "return"]:
    """Check what shall be done with a part of the samples.

    Args:
        value: what the caller gave.

    Raises:
        InvalidRequestError: it is something else than the two words.
    """
    if value == "raise":
        return "raise"
    if value == "return":
        return "return"
    raise InvalidRequestError("partial", value, "'raise' or 'return'")


def check_wait(seconds: object) -> float:
    """Check a time to wait, which may be none.

    Args:
        seconds: what the caller gave.

    Raises:
        InvalidRequestError: it is no number of seconds from 0 on.
    """
    if not is_number(seconds) or not 0 <= seconds <= _LONGEST_SECONDS:
        raise InvalidRequestError("wait", seconds, f"seconds from 0 to {_LONGEST_SECONDS:g}")
    return float(seconds)


def check_weight(weight: object) -> float:
    """Check the weight of a tree.

    Args:
        weight: what the caller gave.

    Raises:
        InvalidRequestError: it is no finite number above 0.
    """
    if not is_number(weight) or not 0 < weight < float("inf"):
        raise InvalidRequestError(
            "weight", weight, "a finite number above 0; 1 is every tree's unless it says otherwise"
        )
    return float(weight)


def check_timeout(timeout: object) -> float | None:
    """Check the time of a call.

    Args:
        timeout: what the caller gave; None for the client's.

    Raises:
        InvalidRequestError: it is no number of seconds above 0.
    """
    if timeout is None:
        return None
    if not is_number(timeout) or not timeout > 0:
        raise InvalidRequestError("timeout", timeout, "seconds above 0, or None for the client's")
    return float(min(timeout, _LONGEST_SECONDS))
