from __future__ import annotations

import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client.testing.dialect import DIALECTS, dialect_of
from ets_client.testing.draw import LogProbabilities, draw
from ets_client.testing.gate import check_gate
from ets_client.testing.model import Distribution
from ets_client.testing.sampling import CrashError, FatalError, RefusedError, Sampling, read_sampling
from ets_client.testing.stops import Finish, ends_like_a_stop, find_finish, text_of
from ets_client.testing.tokenizer import ByteTokenizer

TOKENIZER = ByteTokenizer()
OLD, SEEN, NEW = (dialect_of(version) for version in DIALECTS)
TEXTS = st.text(st.sampled_from("ab\n. é"), max_size=12)


def _read(**fields: Any) -> Sampling:
    return read_sampling(fields, SEEN, TOKENIZER)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"temperature": -1}, "temperature must be a non-negative finite number, got -1."),
        ({"top_p": 0}, "top_p must be in (0, 1], got 0."),
        ({"top_k": 0}, "top_k must be -1 (disable) or at least 1, got 0."),
        ({"min_p": 1.5}, "min_p must be in [0, 1], got 1.5."),
        ({"presence_penalty": 3}, "presence_penalty must be in [-2, 2], got 3."),
        ({"min_new_tokens": -1}, "min_new_tokens must be in [0, max_new_tokens], got -1."),
        ({"logit_bias": {"x": 1}}, "invalid literal for int() with base 10: 'x'"),
        ({"stop_token_ids": ["x"]}, "invalid literal for int() with base 10: 'x'"),
        ({"repetition_penalty": 0}, "repetition_penalty must be in (0, 2] (1.0 = no penalty), got 0."),
        ({"max_new_tokens": -1}, "max_new_tokens must be at least 0, got -1."),
        ({"min_new_tokens": 5, "max_new_tokens": 2}, "min_new_tokens must be in [0, max_new_tokens(2)], got 5."),
        ({"logit_bias": {"99999": 1}}, "logit_bias must has keys in [0, 2047], got 99999."),
        ({"regex": "a", "json_schema": "{}"}, "Only one of json_schema, regex, ebnf, or structural_tag can be set."),
    ],
)
def test_values_out_of_range_are_refused_in_sglangs_words(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(RefusedError, match=f"^{re.escape(words)}$"):
        _read(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"bogus": 1},
        {"temperature": "hot"},
        {"stop": 5},
        {"stop_regex": "("},
        {"logit_bias": []},
        {"stop_token_ids": 5},
        {"stop_token_ids": [[]]},
        {"max_new_tokens": "x"},
        [],
    ],
)
def test_what_pythons_types_stumble_over_is_a_crash(fields: dict[str, Any]) -> None:
    with pytest.raises(CrashError):
        read_sampling(fields, SEEN, TOKENIZER)


def test_a_float_as_limit_kills_0_5_18_alone() -> None:
    with pytest.raises(FatalError):
        read_sampling({"max_new_tokens": 2.5}, SEEN, TOKENIZER)
    with pytest.raises(CrashError):
        read_sampling({"max_new_tokens": 2.5}, OLD, TOKENIZER)
    assert _read(top_k=2.5, min_new_tokens=1.5).top_k == 2


def test_nulls_are_defaults() -> None:
    names = ("temperature", "top_p", "top_k", "n", "ignore_eos", "stop", "stop_token_ids", "logit_bias", "regex")
    assert _read(**dict.fromkeys(names)) == Sampling()
    assert _read(max_new_tokens=None).max_new_tokens is None


def test_temperature_0_is_greedy() -> None:
    assert _read(temperature=0).is_greedy
    assert not _read().is_greedy


@pytest.mark.parametrize(
    ("params", "passes"),
    [
        ({"max_tokens": 5}, False),
        ({"max_new_tokens": 16.0}, False),
        ({"json_schema": {}}, False),
        ({"ignore_eos": 1}, False),
        ({"stop": ["a"] * 33}, False),
        ({"stop_regex": "a" * 257}, False),
        ({"temperature": 0, "n": None, "stop": [], "stop_token_ids": None, "logit_bias": {"5": 1}}, True),
    ],
)
def test_the_gate_of_0_5_23_checks_types_and_names(params: dict[str, Any], *, passes: bool) -> None:
    assert (check_gate({"sampling_params": params}) is None) is passes


@pytest.mark.parametrize(
    ("fields", "passes"),
    [
        ({"priority": 1.0}, False),
        ({"return_prompt_token_ids": None}, False),
        ({"return_hidden_states": "last"}, False),
        ({"anything": 5}, True),
        ({}, True),
    ],
)
def test_the_gate_leaves_unknown_top_level_keys_alone(fields: dict[str, Any], *, passes: bool) -> None:
    assert (check_gate(fields) is None) is passes


def _write(text: str, sampling: Sampling, most: int = 99) -> tuple[list[int], Finish | None]:
    """Write a text token by token until it ends."""
    output: list[int] = []
    for token in TOKENIZER.encode(text):
        output.append(token)
        finish = find_finish(output, most, sampling, TOKENIZER, SEEN)
        if finish is not None:
            return output, finish
    return output, None


@given(TEXTS, st.lists(st.text(st.sampled_from("ab\n. "), min_size=1, max_size=3), min_size=1, max_size=3))
def test_a_stop_string_ends_the_text_at_its_first_place(text: str, stops: list[str]) -> None:
    output, finish = _write(text, _read(stop=stops))
    if finish is None:
        assert not any(stop in text for stop in stops)
        return
    written = TOKENIZER.decode(output)
    before = TOKENIZER.decode(output[:-1])
    assert str(finish.matched) in written
    assert not any(stop in before for stop in stops)
    assert text_of(output, finish, _read(stop=stops), TOKENIZER, SEEN) == written[: written.index(str(finish.matched))]


@given(TEXTS, st.integers(0, 6), st.lists(st.integers(4, 270), max_size=3), st.booleans())
def test_ends_agree_with_a_naive_reading(text: str, most: int, stop_ids: list[int], ignore_eos: bool) -> None:
    sampling = _read(stop_token_ids=stop_ids, ignore_eos=ignore_eos)
    ids = [*TOKENIZER.encode(text), TOKENIZER.eos_token_id]
    stops = set() if ignore_eos else {TOKENIZER.eos_token_id, *stop_ids}
    expected = next((place + 1 for place, token in enumerate(ids[:most]) if token in stops), min(most, len(ids)))
    output: list[int] = []
    finish = find_finish(output, 0, sampling, TOKENIZER, SEEN) if most == 0 else None
    for token in ids:
        if finish is not None:
            break
        output.append(token)
        finish = find_finish(output, most, sampling, TOKENIZER, SEEN)
    assert len(output) == expected


def test_a_stop_on_the_last_allowed_token_is_length_before_0_5_18_only() -> None:
    eos = [TOKENIZER.eos_token_id]
    kinds = [
        finish.reason["type"]
        for dialect in (OLD, SEEN, NEW)
        if (finish := find_finish(eos, 1, _read(), TOKENIZER, dialect))
    ]
    assert kinds == ["length", "stop", "stop"]


def test_a_kept_stop_string_ends_the_text() -> None:
    sampling = _read(stop=".", no_stop_trim=True)
    output, finish = _write("a. b", sampling)
    assert TOKENIZER.decode(output) == "a. "
    assert text_of(output, finish, sampling, TOKENIZER, SEEN) == "a."


def test_a_stop_token_is_in_the_ids_but_not_in_the_text() -> None:
    output, finish = _write("ab</s>", _read())
    assert output[-1] == TOKENIZER.eos_token_id
    assert text_of(output, finish, _read(), TOKENIZER, SEEN) == "ab"


def test_an_empty_stop_matches_at_once() -> None:
    output, finish = _write("abc", _read(stop=[""]))
    assert (len(output), finish and finish.reason) == (1, {"type": "stop", "matched": ""})


def test_an_empty_stop_leaves_the_text_before_0_5_23_and_none_since() -> None:
    sampling = _read(stop=[""])
    output, finish = _write("abc", sampling)
    assert [text_of(output, finish, sampling, TOKENIZER, dialect) for dialect in (OLD, SEEN, NEW)] == ["a", "a", ""]


def test_log_probabilities_hold_at_the_lowest_temperature() -> None:
    values = LogProbabilities(DISTRIBUTION, 1e-6, 2048)
    (best, _), (second, _) = values.top(2)
    assert best == pytest.approx(0.0)
    assert -math.inf < second < -1000


def test_the_match_of_a_pattern_stays_in_the_text() -> None:
    sampling = _read(stop_regex="b+")
    output, finish = _write("abc", sampling)
    assert text_of(output, finish, sampling, TOKENIZER, SEEN) == "ab"
    assert finish is not None
    assert finish.matched == "b+"


def test_a_text_that_may_be_inside_a_stop_is_held_back() -> None:
    assert ends_like_a_stop(TOKENIZER.encode("ab\n"), _read(stop="\nX"), TOKENIZER)
    assert not ends_like_a_stop(TOKENIZER.encode("ab\n!"), _read(stop="\nX"), TOKENIZER)
    assert not ends_like_a_stop(TOKENIZER.encode("ab"), _read(), TOKENIZER)


DISTRIBUTION = Distribution((7, 8, 9), (0.5, 0.3, 0.1), 0.1 / 2045)


@given(st.floats(0, 1, exclude_max=True))
def test_what_is_cut_off_or_forbidden_is_never_drawn(chance: float) -> None:
    assert draw(DISTRIBUTION, _read(temperature=0), chance, [], ()) == 7
    assert draw(DISTRIBUTION, _read(top_k=2), chance, [], ()) in {7, 8}
    assert draw(DISTRIBUTION, _read(top_p=0.5), chance, [], ()) == 7
    assert draw(DISTRIBUTION, _read(min_p=0.5), chance, [], ()) in {7, 8}
    assert draw(DISTRIBUTION, _read(min_new_tokens=1), chance, [], {7, 8}) == 9
    assert draw(DISTRIBUTION, _read(logit_bias={"5": 100}), chance, [], ()) == 5
    assert draw(DISTRIBUTION, _read(min_new_tokens=1), chance, [], {7, 8, 9}) == 260


@given(st.sampled_from([0.3, 1.0, 2.0]))
def test_probabilities_of_the_whole_vocabulary_add_up_to_one(temperature: float) -> None:
    values = LogProbabilities(DISTRIBUTION, temperature, 2048)
    assert sum(2.718281828459045 ** values.of(token) for token in range(2048)) == pytest.approx(1)
    top = values.top(5)
    assert [token for _, token in top] == [7, 8, 9, 0, 1]
    assert [value for value, _ in top] == sorted((value for value, _ in top), reverse=True)


@given(st.text(max_size=40))
def test_the_tokenizer_decodes_what_it_encodes(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text
    assert all(0 <= token < TOKENIZER.vocab_size for token in TOKENIZER.encode(text))


def test_a_tokenizer_needs_an_id_for_each_byte() -> None:
    with pytest.raises(ValueError, match="at least 260"):
        ByteTokenizer(100)
    assert ByteTokenizer(260).decode(ByteTokenizer(260).encode("a\n\nb")) == "a\n\nb"
