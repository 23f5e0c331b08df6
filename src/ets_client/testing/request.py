"""``POST /generate``: what a body asks for. Sources: ``io_struct.py`` and ``tokenizer_manager.py``. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from .errors import RejectedError, broken_json, invalid, plain_error
from .field_types import check_types
from .gate import check_gate
from .job import LogprobWishes
from .sampling import GRAMMARS, CrashError, FatalError, RefusedError, read_sampling
from .shapes import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Hashable

    from .dialect import Dialect
    from .options import FakeOptions
    from .sampling import Sampling
    from .tokenizer import Tokenizer

__all__ = ["GenerateRequest", "Item", "parse_body", "read_request"]

_ROUTE = "POST /generate"
_TOO_LONG = "The input ({} tokens) is longer than the model's context length ({} tokens)."
_TOO_MUCH = (
    "Requested token count exceeds the model's maximum context length of {limit} tokens. You requested a total of "
    "{total} tokens: {prompt} tokens from the input messages and {new} tokens for the completion. Please reduce the "
    "number of tokens in the input messages or the completion to fit within the limit."
)
_NO_GRAMMARS = (
    "Grammar-based generation (json_schema, regex, ebnf, structural_tag) is not supported when the server is launched "
    "with --grammar-backend none"
)
_HIDDEN = (
    "The server is not configured to return hidden states. Please set `--return-hidden-states-mode last`, "
    "`--return-hidden-states-mode full`, or the legacy `--enable-return-hidden-states` flag."
)
_PROCESSOR = (
    "The server is not configured to enable custom logit processor. "
    "Please set `--enable-custom-logit-processor` to enable this feature."
)
_LORA = (
    "LoRA adapter '{}' was requested, but LoRA is not enabled. Please launch the server with --enable-lora flag and "
    "preload adapters using --lora-paths or /load_lora_adapter endpoint."
)


@dataclass(frozen=True, slots=True)
class Item:
    """One prompt of a request.

    Attributes:
        prompt: its ids.
        sampling: its parameters.
        most: tokens it may get, after SGLang's silent clipping.
        namespace: of the cache.
        logprobs: what is wanted, or None.
        refusal: the scheduler's words, when it is the scheduler who refuses.
    """

    prompt: list[int]
    sampling: Sampling
    most: int
    namespace: Hashable
    logprobs: LogprobWishes | None
    refusal: str | None


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """A request that is understood.

    Attributes:
        items: its prompts.
        rids: their ids; None where the server makes them up.
        are_rids_listed: the client gave a list of ids.
        is_single: the reply is an object, not a list.
        samples: of each prompt (``n``).
        is_stream: the reply is a stream of events.
        is_background: nobody looks whether the client is still there.
        names_label_ids: it has ``token_ids_logprob``.
        shows_prompt: the reply repeats the prompt's ids.
    """

    items: list[Item]
    rids: list[str] | None
    are_rids_listed: bool
    is_single: bool
    samples: int
    is_stream: bool
    is_background: bool
    names_label_ids: bool
    shows_prompt: bool


def parse_body(body: bytes, content_type: str, dialect: Dialect) -> dict[str, Any]:
    """The fields of a body, of the types that FastAPI wants.

    Raises:
        RejectedError: 400, whatever ``stream`` says.
    """
    if not body:
        raise invalid("missing", ("body",), "Field required", None, _ROUTE)
    kind = content_type.partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        # FastAPI leaves a body of another type alone, and bytes are no request.
        raise invalid("dataclass_type", ("body",), "Input should be a dictionary or an instance of GenerateReqInput",
                      body[:200].decode(errors="replace"), _ROUTE)  # fmt: skip
    try:
        given = from_json(body, allow_inf_nan=dialect.takes_nan)
    except ValueError:
        raise broken_json(body, _ROUTE) from None
    if not is_object(given):
        message = "Input should be a dictionary or an instance of GenerateReqInput"
        raise invalid("dataclass_type", ("body",), message, given, _ROUTE)
    fields = given
    check_types(fields, _ROUTE, has_wide_integers=dialect.takes_nan)
    if dialect.has_gate:
        complaint = check_gate(fields)
        if complaint is not None:
            raise RejectedError(400, plain_error(complaint))
    return fields


def read_request(
    fields: dict[str, Any], options: FakeOptions, dialect: Dialect, tokenizer: Tokenizer
) -> GenerateRequest:
    """Understand parsed fields as one version does.

    Args:
        fields: of :func:`parse_body`.
        options: the server's flags.
        dialect: its version.
        tokenizer: its tokenizer.

    Raises:
        RefusedError: a ``ValueError`` in SGLang: 400, or an event of a stream.
        CrashError: another error: 500, or a stream that breaks off.
        FatalError: the server dies of it.
    """
    text, ids = fields.get("text"), fields.get("input_ids")
    prompts, is_single = _prompts(text, ids, fields.get("input_embeds"))
    given = fields.get("sampling_params")
    samples = _samples(given)
    size = len(prompts)
    params = _spread_params(given, size, is_single=is_single and samples <= 1)
    is_listed = not (is_single and samples <= 1)
    rids = _rids(fields.get("rid"), size, samples, is_listed=is_listed)
    namespaces = _namespaces(fields, size, dialect, is_listed=is_listed)
    wishes = _wishes(fields, size, samples, is_listed=is_listed)
    _check_features(fields)
    items: list[Item] = []
    for place, prompt in enumerate(prompts):
        tokens = _tokens(prompt, dialect, tokenizer)
        items.append(_item(tokens, params[place], namespaces[place], wishes[place], options, dialect, tokenizer))
    return GenerateRequest(
        items=items,
        rids=rids,
        are_rids_listed=isinstance(fields.get("rid"), list),
        is_single=not is_listed,
        samples=max(1, samples),
        is_stream=bool(fields.get("stream")),
        is_background=bool(fields.get("background")),
        names_label_ids=bool(fields.get("token_ids_logprob")),
        shows_prompt=bool(fields.get("return_prompt_token_ids")),
    )


def _prompts(text: Any, ids: Any, embeds: Any) -> tuple[list[str | list[int]], bool]:
    if (text is None and ids is None and embeds is None) or (
        text is not None and ids is not None and embeds is not None
    ):
        raise RefusedError("Either text, input_ids or input_embeds should be provided.")
    if text is None and ids is None:
        raise RefusedError(
            "input_embeds is provided while disable_radix_cache is False. Please add `--disable-radix-cache` when you "
            "launch the server if you want to use input_embeds as inputs."
        )
    if ids is None:
        return ([text], True) if isinstance(text, str) else (list(text or ()), False)
    listed = ids
    if not listed:
        raise RefusedError("input_ids cannot be empty.")
    # The shape is read off the text, or off the first element alone; the tokens are always those of the ids.
    is_single = isinstance(text, str) if text is not None else isinstance(listed[0], int)
    prompts: list[Any] = [listed] if is_single else listed
    for prompt in prompts:
        if not is_list(prompt):
            raise CrashError("input_ids mixes ids and lists of ids")
        if set(map(type, prompt)) - {int}:
            raise CrashError("input_ids holds something else than ids")
        if not prompt:
            raise FatalError("a prompt of no tokens in input_ids")
    return prompts, is_single


def _samples(given: Any) -> int:
    if given is None:
        return 1
    listed = given if is_list(given) else [given]
    if not listed or not all(is_object(each) for each in listed):
        raise CrashError("sampling_params is a list of something else than objects")
    numbers = [each.get("n", 1) for each in listed]
    if any(number != numbers[0] for number in numbers):
        raise RefusedError("The parallel_sample_num should be the same for all samples in sample params.")
    if not isinstance(numbers[0], int):
        raise CrashError(f"n of type {type(numbers[0]).__name__}")
    return numbers[0]


def _spread_params(given: Any, size: int, *, is_single: bool) -> list[Any]:
    if not is_list(given):
        return [given or {}] * size
    listed: list[Any] = given
    if is_single:
        raise CrashError("sampling_params is a list, the prompt is not")
    if len(listed) < size:
        raise CrashError("sampling_params has fewer entries than there are prompts")
    return listed[:size]


def _rids(given: Any, size: int, samples: int, *, is_listed: bool) -> list[str] | None:
    if given is None:
        return None
    if isinstance(given, str):
        return [f"{given}_{place}" for place in range(size * max(1, samples))] if is_listed else [given]
    listed: list[str] = given
    if not is_listed:
        raise CrashError("rid is a list, the prompt is not")
    if len(listed) != size:
        raise RefusedError("The specified rids length mismatch with the batch_size for batch processing.")
    twice = [rid for rid, times in Counter(listed).items() if times > 1]
    if twice:
        raise RefusedError(f"Duplicate request IDs detected within the request: {twice}")
    return listed


def _namespaces(fields: dict[str, Any], size: int, dialect: Dialect, *, is_listed: bool) -> list[Hashable]:
    columns: list[list[str | None]] = []
    none = "" if dialect.empty_namespace_is_none else None
    for name in ("extra_key", "cache_salt") if dialect.has_cache_salt else ("extra_key",):
        value = fields.get(name)
        if is_list(value):
            listed = value
            if not is_listed:
                raise RefusedError(f"{name} should be a string for a single request.")
            if len(listed) != size:
                raise RefusedError(f"The length of {name} should be equal to the batch size.")
            columns.append([None if each == none else each for each in listed])
        else:
            columns.append([None if value == none else value] * size)
    return [parts if any(part is not None for part in parts) else None for parts in zip(*columns, strict=True)]


def _wishes(fields: dict[str, Any], size: int, samples: int, *, is_listed: bool) -> list[LogprobWishes | None]:
    def spread(name: str, default: Any) -> list[Any]:
        value: Any = fields.get(name)
        if not is_list(value):
            return [default if value is None else value] * size
        if not is_listed:
            return [value] * size
        if samples > 1:
            raise RefusedError(f"Cannot use list {name} with parallel_sample_num > 1")
        values = value
        if len(values) < size:
            raise CrashError(f"{name} has fewer entries than there are prompts")
        return values

    wanted, starts = spread("return_logprob", False), spread("logprob_start_len", -1)
    tops, with_text = spread("top_logprobs_num", 0), bool(fields.get("return_text_in_logprobs"))
    of_tokens: Any = fields.get("token_ids_logprob") or None
    nested = is_list(of_tokens) and is_list(of_tokens[0])
    columns: list[Any] = spread("token_ids_logprob", None) if nested and is_listed else [of_tokens] * size
    return [
        LogprobWishes(start, top or 0, tuple(tokens) if tokens else None, with_text) if want else None
        for want, start, top, tokens in zip(wanted, starts, tops, columns, strict=False)
    ]


def _check_features(fields: dict[str, Any]) -> None:
    session = fields.get("session_params")
    if is_object(session):
        name = session.get("id")
        raise RefusedError(f"Invalid request: session id {name} does not exist")
    if fields.get("lora_path"):
        raise RefusedError(_LORA.format(fields["lora_path"]))
    if fields.get("return_hidden_states"):
        raise RefusedError(_HIDDEN)
    if fields.get("custom_logit_processor"):
        raise RefusedError(_PROCESSOR)
    rank = fields.get("routed_dp_rank", fields.get("data_parallel_rank"))
    if rank is not None and int(rank) != 0:
        raise RefusedError(f"routed_dp_rank={rank} out of range [0, 1)")


def _tokens(prompt: str | list[int], dialect: Dialect, tokenizer: Tokenizer) -> list[int]:
    if isinstance(prompt, str):
        if not prompt and not dialect.empty_text_is_fatal:
            raise RefusedError("texts cannot be empty and tokenizer must be initialized")
        ids = tokenizer.encode(prompt)
        if not ids:
            raise FatalError("an empty text")
        return ids
    return prompt


def _item(
    prompt: list[int],
    params: Any,
    namespace: Hashable,
    wishes: LogprobWishes | None,
    options: FakeOptions,
    dialect: Dialect,
    tokenizer: Tokenizer,
) -> Item:
    size, limit, vocab_size = len(prompt), options.context_length, tokenizer.vocab_size
    if size >= limit:
        raise RefusedError(_TOO_LONG.format(size, limit))
    asked = params.get("max_new_tokens")
    if isinstance(asked, int | float) and size + asked > limit:
        raise RefusedError(_TOO_MUCH.format(limit=limit, total=size + asked, prompt=size, new=asked))
    if wishes is not None:
        for token in wishes.of_tokens or ():
            if not 0 <= token < vocab_size:
                raise RefusedError(
                    f"token_ids_logprob contains out-of-vocabulary token id {token}; valid range is [0, {vocab_size})."
                )
        if wishes.top > vocab_size:
            raise FatalError(f"top_logprobs_num = {wishes.top} is more than the vocabulary of {vocab_size}")
    sampling = read_sampling(params, dialect, tokenizer)
    if options.grammar_backend == "none" and any(params.get(name) for name in GRAMMARS):
        raise RefusedError(_NO_GRAMMARS)
    if min(prompt) < 0 or max(prompt) >= vocab_size:
        outside = next(token for token in prompt if not 0 <= token < vocab_size)
        raise FatalError(f"token id {outside} is outside the vocabulary of {vocab_size}")
    refusal = None
    if size >= options.max_input_tokens:
        refusal = (
            f"Input length ({size} tokens) exceeds the maximum allowed length ({options.max_input_tokens} tokens). "
            "Use a shorter input or enable --allow-auto-truncate."
        )
    elif wishes is not None and wishes.start > size:
        refusal = (
            f"req.logprob_start_len={wishes.start} is higher than the number of input tokens "
            f"len(req.origin_input_ids)={size}. Please use a smaller logprob_start_len."
        )
    room = options.max_request_tokens - size - 1
    most = room if sampling.max_new_tokens is None else min(sampling.max_new_tokens, room)
    return Item(prompt, sampling, max(0, most), namespace, wishes, refusal)
