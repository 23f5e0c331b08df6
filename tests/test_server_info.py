from __future__ import annotations

import pytest

from ets_client import ServerInfo
from tests.fakes import server_info


def test_printed_facts_are_a_table_with_one_fact_a_line() -> None:
    lines = str(server_info(vocab_size=2048, vocab_source="the profile", chunked_prefill_size=-1)).splitlines()
    assert lines[0] == "SGLang           0.5.18"
    assert "vocabulary       2,048 (from the profile)" in lines
    assert "page             1 token" in lines
    assert "chunked prefill  off" in lines
    assert "longest prompt   994 tokens" in lines
    assert {line[15:17] for line in lines} == {"  "}


def test_what_was_not_told_is_printed_as_unknown_and_no_key_is_there() -> None:
    text = str(ServerInfo(model_path="m", tokenizer_path="t", frontend="sglang-router", workers=3))
    assert "front end        sglang-router, 3 workers" in text
    for fact in ("SGLang", "context", "vocabulary", "page", "deterministic", "streams", "schedule policy"):
        assert f"{fact:<15}  unknown" in text


def test_the_short_form_is_one_line() -> None:
    assert "\n" not in repr(server_info())


@pytest.mark.parametrize(
    ("context", "cache", "told", "more", "window", "longest"),
    [
        (None, None, None, None, None, None),
        (None, None, None, 100, 100, 94),
        (None, 50, None, 100, 50, 44),
        (80, 50, None, 100, 50, 44),
        (80, None, 70, 100, 80, 70),
        (80, None, 79, 100, 80, 74),
        (None, 50, None, None, 50, 44),
    ],
)
def test_the_limits_of_a_request_are_the_least_that_is_known(
    context: int | None, cache: int | None, told: int | None, more: int | None, window: int | None, longest: int | None
) -> None:
    facts = server_info(context_length=context, max_total_tokens=cache, max_input_tokens=told).within(more)
    assert (facts.window_tokens, facts.max_input_tokens) == (window, longest)
