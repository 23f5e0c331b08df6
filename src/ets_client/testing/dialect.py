"""What differs between the versions of SGLang that the fake server can be. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["DIALECTS", "Dialect", "dialect_of"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """One version.

    Attributes:
        version: SGLang's.
        has_gate: a strict check of types before all others, whose 400 has a plain string as ``error``.
        has_cache_salt: the second part of a cache namespace is known.
        empty_namespace_is_none: a cache namespace of no characters is none; otherwise it is one of its own.
        has_ready: there is ``/ready``.
        has_get_load: there is the old ``/get_load``.
        empty_text_is_fatal: an empty text kills the server instead of being refused.
        length_wins: a stop on the last allowed token is reported as ``length``.
        empty_stop_cuts: a stop of no characters leaves no text; otherwise it cuts nothing. The output ends at once.
        leaks_rids: requests with ``n`` > 1 leave request ids behind for ever, unless they came as a list.
        stream_close: what closing a stream of one request stops, and when.
        many_stream_close: the same, of a request with ``n`` > 1.
        batch_close: which items of a batch that is not streamed are stopped when its connection goes.
        sibling_stop: whether the other samples of a request are stopped when one of them fails.
        converts_any_abort: an abort with any status of 400-599 becomes that status, not only 400, 500 and 503.
        counts_tags: ``structural_tag`` counts as a grammar.
        float_limit_is_fatal: a float as ``max_new_tokens`` kills the scheduler, even 3.0 (seen in 0.5.18).
        nan_is_fatal: values of which nothing is left to sample kill the scheduler (seen in 0.5.18).
        mixed_label_ids_are_fatal: samples with ``token_ids_logprob`` and samples without it in one step kill the
            scheduler (seen in 0.5.18; 0.5.14 has the same code).
        one_grammar: the words in which two grammars are refused.
        more_sampling_fields: sampling fields of this version alone.
        takes_nan: JSON may hold NaN and infinities.
        ping_tells_state: ``/ping`` can be 503.
        lists_faults: a body of the wrong types is refused with the bare list of what is wrong.
        running_times: what ``meta_info`` says of time in every event, with metrics.
        final_times: the same, of an ended sample alone.
    """

    version: str
    has_gate: bool
    has_cache_salt: bool
    empty_namespace_is_none: bool
    has_ready: bool
    has_get_load: bool
    empty_text_is_fatal: bool
    length_wins: bool
    empty_stop_cuts: bool
    leaks_rids: bool
    stream_close: Literal["later", "never", "now"]
    many_stream_close: Literal["never", "now"]
    batch_close: Literal["each", "first", "all"]
    sibling_stop: bool
    converts_any_abort: bool
    counts_tags: bool
    float_limit_is_fatal: bool
    nan_is_fatal: bool
    mixed_label_ids_are_fatal: bool
    one_grammar: str
    more_sampling_fields: frozenset[str]
    ping_tells_state: bool
    takes_nan: bool
    lists_faults: bool
    running_times: tuple[str, ...]
    final_times: tuple[str, ...]


_ENGINE_TIMES = ("forward_entry_time", "prefill_finished_time", "queue_time")
_CALL_TIMES = ("request_received_ts", "api_server_dispatch_finish_ts", "request_finished_ts")
_ONE_GRAMMAR = "Only one of json_schema, regex, ebnf, or structural_tag can be set."

DIALECTS = {
    "0.5.14": Dialect(
        version="0.5.14",
        has_gate=False,
        has_cache_salt=False,
        empty_namespace_is_none=False,
        has_ready=False,
        has_get_load=True,
        empty_text_is_fatal=False,
        length_wins=True,
        empty_stop_cuts=False,
        leaks_rids=True,
        stream_close="later",
        many_stream_close="never",
        batch_close="each",
        sibling_stop=False,
        converts_any_abort=False,
        counts_tags=False,
        float_limit_is_fatal=False,
        nan_is_fatal=True,
        mixed_label_ids_are_fatal=True,
        one_grammar="Only one of regex, json_schema, or ebnf can be set.",
        more_sampling_fields=frozenset(),
        takes_nan=True,
        ping_tells_state=False,
        lists_faults=True,
        running_times=("queue_time",),
        final_times=_CALL_TIMES,
    ),
    "0.5.18": Dialect(
        version="0.5.18",
        has_gate=False,
        has_cache_salt=True,
        empty_namespace_is_none=True,
        has_ready=False,
        has_get_load=True,
        empty_text_is_fatal=False,
        length_wins=False,
        empty_stop_cuts=False,
        leaks_rids=True,
        stream_close="never",
        many_stream_close="never",
        # Seen to depend on the order of timers; the fake stops as little as the real one may.
        batch_close="first",
        sibling_stop=False,
        converts_any_abort=False,
        counts_tags=True,
        float_limit_is_fatal=True,
        nan_is_fatal=True,
        mixed_label_ids_are_fatal=True,
        one_grammar=_ONE_GRAMMAR,
        more_sampling_fields=frozenset(),
        takes_nan=False,
        ping_tells_state=False,
        lists_faults=False,
        running_times=_ENGINE_TIMES,
        final_times=_CALL_TIMES,
    ),
    "0.5.23": Dialect(
        version="0.5.23",
        has_gate=True,
        has_cache_salt=True,
        empty_namespace_is_none=True,
        has_ready=True,
        has_get_load=False,
        empty_text_is_fatal=True,
        length_wins=False,
        empty_stop_cuts=True,
        leaks_rids=False,
        stream_close="now",
        many_stream_close="now",
        batch_close="all",
        sibling_stop=True,
        converts_any_abort=True,
        counts_tags=True,
        float_limit_is_fatal=False,
        nan_is_fatal=False,
        mixed_label_ids_are_fatal=False,
        one_grammar=_ONE_GRAMMAR,
        more_sampling_fields=frozenset({"beam_width", "watermark", "choice"}),
        takes_nan=False,
        ping_tells_state=True,
        lists_faults=False,
        running_times=("storage_prefetch_wait", "storage_staging_wait", *_ENGINE_TIMES),
        final_times=(*_CALL_TIMES, "first_token_latency"),
    ),
}


def dialect_of(version: str) -> Dialect:
    """The dialect of a version.

    Raises:
        ValueError: the fake server does not know it.
    """
    found = DIALECTS.get(version)
    if found is None:
        raise ValueError(f"version = {version!r}: choose one of {', '.join(DIALECTS)}")
    return found
