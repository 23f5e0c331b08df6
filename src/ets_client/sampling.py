"""How the policy samples: the fields of SGLang's sampling parameters that a text client can use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from .errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

__all__ = ["SamplingParams", "SeedIgnoredWarning"]


def _as_tuple(value: object) -> object:
    if isinstance(value, str | int) and not isinstance(value, bool):
        return (value,)
    return tuple(cast("list[object]", value)) if isinstance(value, list) else value


# Far beyond these SGLang 0.5.18 dies, as nothing can be sampled: a top_k of 2**31 does not fit into its tensor (0.5.23
# dies of it too), a temperature of 1e308 is infinite in 32 bits, and so is a bias of 1e38 at a low temperature; a
# penalty of 1e-45 is zero.
MOST_TOP_K = 2**31 - 1
MOST_BIAS = 1e9
MOST_TEMPERATURE = 1e6
LEAST_PENALTY = 1e-6

# SGLang 0.5.23 refuses more; the older ones take any number, so that a search would depend on the version.
MOST_STOPS = 32
MOST_PATTERN_BYTES = 256
GRAMMARS = ("json_schema", "regex", "ebnf", "structural_tag")

Float = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Int = Annotated[int, Field(strict=True)]
Bias = Annotated[float, Field(strict=True, ge=-MOST_BIAS, le=MOST_BIAS)]
Text = Annotated[str, Field(strict=True, min_length=1)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_as_tuple), Field(max_length=MOST_STOPS)]
TokenIds = Annotated[tuple[Annotated[int, Field(strict=True, ge=0)], ...], BeforeValidator(_as_tuple)]


class SeedIgnoredWarning(UserWarning):
    """A seed was given to a server that ignores seeds: the results cannot be reproduced. Each client says it once."""


class SamplingParams(BaseModel):
    """Sampling of one call. A field left out is decided by the client, then the profile, then the server.

    Ranges are SGLang's (``sglang/srt/sampling/sampling_params.py``) and are checked here: a value out of range raises
    :class:`~ets_client.errors.InvalidRequestError` with the field's name, and nothing is sent.

    Attributes:
        max_new_tokens: tokens to generate at most, >= 1. In an expand this is the length of a step.
        min_new_tokens: tokens before which neither an end-of-sequence nor a stop token is sampled, >= 0.
        temperature: [0, 1e6]; 0 is greedy.
        top_p: nucleus mass in (0, 1].
        top_k: -1 (off) or from 1 to 2**31 - 1.
        min_p: [0, 1], relative to the most probable token.
        frequency_penalty: [-2, 2].
        presence_penalty: [-2, 2].
        repetition_penalty: [1e-6, 2]; 1 is off.
        stop: strings that end a step, one or up to 32; an empty string is refused (SGLang would stop at once).
        stop_token_ids: token ids that end a step.
        stop_regex: patterns that end a step, one or up to 32, each of at most 256 bytes.
        ignore_eos: go on after the end-of-sequence token. SGLang then ignores ``stop_token_ids`` too.
        skip_special_tokens: leave special tokens out of the text (the ids always hold them).
        spaces_between_special_tokens: put spaces between special tokens in the text.
        json_schema: JSON schema that the text must satisfy, as a JSON string.
        regex: pattern that the text must satisfy.
        ebnf: grammar that the text must satisfy. Grammars are read by the server alone, and one that comes back to
            itself without taking a character (``root ::= root``, the schema ``{"$ref": "#"}``) kills SGLang 0.5.18.
        structural_tag: tagged parts that the text must satisfy (tool calls, say), in XGrammar's format, as a JSON
            string.
        logit_bias: token id -> value added to its logit, [-1e9, 1e9].
        seed: of the first sample; sibling ``i`` gets ``seed + i``. SGLang uses seeds only when it was started with
            ``--enable-deterministic-inference``; to other servers a seed raises :class:`SeedIgnoredWarning`.

    Raises:
        InvalidRequestError: an unknown field, a wrong type or a value out of range.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    # What the last over() and changed() gave, and who had nothing to add: a search merges the same two or three objects
    # for each of its calls. All are immutable, so that thousands of calls in flight share one; three copies a call took
    # 15 % of an expand's CPU in a burst.
    __slots__ = ("_last_changed", "_last_idle", "_last_over")

    max_new_tokens: Annotated[Int, Field(ge=1)] | None = None
    min_new_tokens: Annotated[Int, Field(ge=0)] | None = None
    temperature: Annotated[Float, Field(ge=0, le=MOST_TEMPERATURE)] | None = None
    top_p: Annotated[Float, Field(gt=0, le=1)] | None = None
    top_k: Int | None = None
    min_p: Annotated[Float, Field(ge=0, le=1)] | None = None
    frequency_penalty: Annotated[Float, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[Float, Field(ge=-2, le=2)] | None = None
    repetition_penalty: Annotated[Float, Field(ge=LEAST_PENALTY, le=2)] | None = None
    stop: Texts | None = None
    stop_token_ids: TokenIds | None = None
    stop_regex: Texts | None = None
    ignore_eos: Annotated[bool, Field(strict=True)] | None = None
    skip_special_tokens: Annotated[bool, Field(strict=True)] | None = None
    spaces_between_special_tokens: Annotated[bool, Field(strict=True)] | None = None
    json_schema: Text | None = None
    regex: Text | None = None
    ebnf: Text | None = None
    structural_tag: Text | None = None
    logit_bias: Mapping[Annotated[int, Field(ge=0)], Bias] | None = None
    seed: Annotated[Int, Field(ge=0, lt=2**63 - 2**16)] | None = None

    if TYPE_CHECKING:  # what pydantic derives from the fields leaves out that one stop string or a list will do

        def __init__(
            self,
            *,
            max_new_tokens: int | None = None,
            min_new_tokens: int | None = None,
            temperature: float | None = None,
            top_p: float | None = None,
            top_k: int | None = None,
            min_p: float | None = None,
            frequency_penalty: float | None = None,
            presence_penalty: float | None = None,
            repetition_penalty: float | None = None,
            stop: str | Sequence[str] | None = None,
            stop_token_ids: int | Sequence[int] | None = None,
            stop_regex: str | Sequence[str] | None = None,
            ignore_eos: bool | None = None,
            skip_special_tokens: bool | None = None,
            spaces_between_special_tokens: bool | None = None,
            json_schema: str | None = None,
            regex: str | None = None,
            ebnf: str | None = None,
            structural_tag: str | None = None,
            logit_bias: Mapping[int, float] | None = None,
            seed: int | None = None,
        ) -> None: ...

    else:

        def __init__(self, **fields: Any) -> None:
            try:
                super().__init__(**fields)
            except ValidationError as error:
                raise _as_invalid_request(error) from None

    @model_validator(mode="after")
    def _check_after(self) -> Self:
        _check_fields_that_depend_on_each_other(self)
        return self

    def over(self, other: SamplingParams | None) -> SamplingParams:
        """These parameters, with the fields that are unset here taken from ``other``.

        Args:
            other: the parameters underneath, or None.

        Returns:
            What counts, decided field by field.

        Raises:
            InvalidRequestError: the two do not fit together (``min_new_tokens`` of one above ``max_new_tokens`` of
                the other).
        """
        if other is None or other is self or other is getattr(self, "_last_idle", None):
            return self
        last = getattr(self, "_last_over", None)
        if last is not None and last[0] is other:
            return cast("SamplingParams", last[1])
        mine = self.__dict__
        fields = {name: value for name, value in other.given().items() if mine[name] is None}
        if not fields:
            object.__setattr__(self, "_last_idle", other)
            return self
        merged = self.changed(fields)
        object.__setattr__(self, "_last_over", (other, merged))
        return merged

    def changed(self, fields: Mapping[str, Any]) -> SamplingParams:
        """These parameters with some fields changed. Not for users: only how they fit together is checked again.

        Args:
            fields: values that other parameters have, or that are known to be in range.

        Raises:
            InvalidRequestError: they do not fit together.
        """
        if not fields:
            return self
        last = getattr(self, "_last_changed", None)
        if last is not None and last[0] == fields:
            return cast("SamplingParams", last[1])
        changed = self.model_copy(update=fields)
        try:
            _check_fields_that_depend_on_each_other(changed)
        except ValueError as error:
            raise InvalidRequestError("sampling", changed.given(), str(error)) from None
        object.__setattr__(self, "_last_changed", (dict(fields), changed))
        return changed

    def given(self) -> dict[str, Any]:
        """The fields that are set, by name."""
        return {name: value for name, value in self.__dict__.items() if value is not None}


def _check_fields_that_depend_on_each_other(params: SamplingParams) -> None:
    if params.top_k is not None and params.top_k != -1 and not 1 <= params.top_k <= MOST_TOP_K:
        raise ValueError(f"top_k = {params.top_k}: -1 (off) or from 1 to {MOST_TOP_K}")
    least, most = params.min_new_tokens, params.max_new_tokens
    if least is not None and most is not None and least > most:
        raise ValueError(f"min_new_tokens = {least} is more than max_new_tokens = {most}")
    for pattern in params.stop_regex or ():
        if len(pattern.encode()) > MOST_PATTERN_BYTES:
            raise ValueError(f"stop_regex = {pattern[:40]!r}…: at most {MOST_PATTERN_BYTES} bytes a pattern")
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"stop_regex = {pattern!r} is no pattern: {error}") from None
    grammars = [name for name in GRAMMARS if getattr(params, name) is not None]
    if len(grammars) > 1:
        raise ValueError(f"{' and '.join(grammars)} are given: SGLang takes at most one of them")
    if grammars and least:
        # Where the grammar wants the end and min_new_tokens forbids it, no token is left: SGLang 0.5.18 dies.
        raise ValueError(f"min_new_tokens = {least} with {grammars[0]}: let the grammar say how long the text is")


def _as_invalid_request(error: ValidationError) -> InvalidRequestError:
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"] if not str(part).startswith("function-"))
    if first["type"] == "extra_forbidden":
        known = ", ".join(SamplingParams.model_fields)
        return InvalidRequestError(f"sampling.{field}", first["input"], f"no such field; the fields are {known}")
    message = first["msg"].removeprefix("Value error, ")
    if not field:
        return InvalidRequestError("sampling", first["input"], message)
    return InvalidRequestError(f"sampling.{field}", first["input"], message[:1].lower() + message[1:])
