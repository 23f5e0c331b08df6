"""The arguments of its_hub's language models, as sampling. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, cast

from ...errors import InvalidRequestError, UnsupportedError
from ...sampling import SamplingParams

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping, Sequence

    from its_hub.api import GenerationUsage  # pyright: ignore[reportMissingTypeStubs]

__all__ = ["CallOptions", "Wanted", "read_options"]


class CallOptions(TypedDict, total=False):
    """What its_hub's algorithms and orchestrators pass to a language model.

    Attributes:
        max_completion_tokens: longest response, in tokens.
        max_tokens: the same by its old name.
        temperature: of all, or one for each conversation.
        include_stop_str_in_output: whether a response keeps the stop string that ended it.
        response_format: ``{"type": "json_schema", "json_schema": {"schema": ...}}`` or ``{"type": "json_object"}``.
        tools: refused unless None or empty.
        tool_choice: says nothing without tools.
        usage_accumulator: is told the tokens of every response.
        loop: its_hub's orchestrator passes it; not used.
    """

    max_completion_tokens: int | None
    max_tokens: int | None
    temperature: float | Sequence[float | None] | None
    include_stop_str_in_output: bool | None
    response_format: Mapping[str, Any] | None
    tools: Sequence[Mapping[str, Any]] | None
    tool_choice: str | Mapping[str, Any] | None
    usage_accumulator: GenerationUsage | None
    loop: asyncio.AbstractEventLoop | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """How responses are sampled and cut.

    Attributes:
        samplings: one a conversation.
        keeps_stop: whether the stop string stays in the response.
        usage: counts tokens, or None.
    """

    samplings: tuple[SamplingParams, ...]
    keeps_stop: bool
    usage: GenerationUsage | None


def read_options(
    stop: str | Sequence[str] | None, given: Mapping[str, Any], over: SamplingParams | None, conversations: int
) -> Wanted:
    """Decide how each conversation is gone on with.

    Args:
        stop: strings that end a response.
        given: the other arguments.
        over: sampling where they say nothing.
        conversations: how many there are.

    Raises:
        InvalidRequestError: a value is out of range, or there are not as many temperatures as conversations.
        TypeError: there is no such argument.
        UnsupportedError: tools, or another format than JSON.
    """
    options = cast("CallOptions", given)
    unknown = given.keys() - CallOptions.__annotations__.keys()
    if unknown:
        raise TypeError(f"no argument {', '.join(map(repr, sorted(unknown)))}; there are {', '.join(_NAMES)}")
    if options.get("tools"):
        raise UnsupportedError("tools", "the client sends token ids, and SGLang knows tools in its chat endpoint alone")
    most, old = options.get("max_completion_tokens"), options.get("max_tokens")
    if most is not None and old is not None:
        raise InvalidRequestError("max_tokens", old, "left out where max_completion_tokens is given")
    asked = options.get("temperature")
    temperatures = [asked] * conversations if asked is None or isinstance(asked, int | float) else list(asked)
    if len(temperatures) != conversations:
        raise InvalidRequestError("temperature", asked, f"one number, or one for each of {conversations} conversations")
    schema = _schema(options.get("response_format"))
    samplings = {
        temperature: SamplingParams(
            max_new_tokens=most if most is not None else old, temperature=temperature, stop=stop, json_schema=schema
        ).over(over)
        for temperature in temperatures
    }
    return Wanted(
        tuple(samplings[temperature] for temperature in temperatures),
        bool(options.get("include_stop_str_in_output")),
        options.get("usage_accumulator"),
    )


_NAMES = tuple(CallOptions.__annotations__)


def _schema(response_format: Mapping[str, Any] | None) -> str | None:
    match response_format:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return '{"type": "object"}'
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            return json.dumps(schema)
        case _:
            raise UnsupportedError(f"response_format = {response_format!r}", "'json_schema', 'json_object' or 'text'")
