from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client import InvalidRequestError, SamplingParams

FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "temperature": st.floats(0, 2),
    "top_p": st.floats(0.01, 1),
    "top_k": st.just(-1) | st.integers(1, 100),
    "max_new_tokens": st.integers(50, 100),
    "min_new_tokens": st.integers(0, 50),
    "stop": st.lists(st.text(min_size=1), max_size=3).map(tuple),
    "stop_token_ids": st.lists(st.integers(0, 9), max_size=3).map(tuple),
    "logit_bias": st.dictionaries(st.integers(0, 9), st.floats(-5, 5), max_size=2),
    "seed": st.integers(0, 1000),
    "ignore_eos": st.booleans(),
}
PARAMS = st.fixed_dictionaries({}, optional=FIELDS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_new_tokens", 0),
        ("max_new_tokens", 16.0),
        ("max_new_tokens", True),
        ("max_new_tokens", "16"),
        ("min_new_tokens", -1),
        ("temperature", -0.1),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("temperature", "1"),
        ("temperature", 1e7),
        ("top_p", 0),
        ("top_p", 1.1),
        ("min_p", -0.1),
        ("min_p", 1.1),
        ("frequency_penalty", 2.1),
        ("presence_penalty", -2.1),
        ("repetition_penalty", 0),
        ("repetition_penalty", 1e-7),
        ("repetition_penalty", 2.1),
        ("stop_token_ids", -1),
        ("ignore_eos", 1),
        ("skip_special_tokens", "yes"),
        ("json_schema", {"type": "object"}),
        ("regex", ""),
        ("logit_bias", {5: math.inf}),
        ("logit_bias", {-1: 1.0}),
        ("logit_bias", {5: 1e10}),
        ("logit_bias", {5: -1e10}),
        ("regex", "\ud800"),
        ("seed", -1),
        ("seed", 2**63),
        ("stop", ""),
        ("stop", "\ud800"),
        ("stop_token_ids", [1, "x"]),
        ("stop_regex", [1]),
        ("stop", ["a"] * 33),
        ("stop_regex", ["a"] * 33),
        ("structural_tag", ""),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_fields_name(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        SamplingParams(**{name: value})
    assert caught.value.argument.startswith(f"sampling.{name}")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"top_k": 0}, "top_k = 0"),
        ({"top_k": -2}, "top_k = -2"),
        ({"top_k": 2**31}, "top_k = 2147483648"),
        ({"min_new_tokens": 1, "regex": "a"}, "min_new_tokens = 1 with regex"),
        ({"min_new_tokens": 5, "max_new_tokens": 4}, "min_new_tokens = 5 is more than max_new_tokens = 4"),
        ({"regex": "a", "ebnf": "b"}, "regex and ebnf"),
        ({"stop_regex": "("}, "stop_regex = '\\('"),
        ({"stop_regex": "é" * 129}, "at most 256 bytes"),
        ({"structural_tag": "{}", "regex": "a"}, "regex and structural_tag"),
        ({"structural_tag": "{}", "min_new_tokens": 1}, "min_new_tokens = 1 with structural_tag"),
    ],
)
def test_fields_that_do_not_fit_are_refused_with_their_names(fields: Any, words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        SamplingParams(**fields)


def test_an_unknown_field_is_refused_and_the_known_ones_are_named() -> None:
    fields: Any = {"max_tokens": 5}
    with pytest.raises(InvalidRequestError, match="max_new_tokens") as caught:
        SamplingParams(**fields)
    assert caught.value.argument == "sampling.max_tokens"


@pytest.mark.parametrize("value", ["END", ["END"], ("END",)])
def test_one_or_several_stop_strings_are_the_same(value: Any) -> None:
    assert SamplingParams(stop=value).stop == ("END",)


def test_one_stop_token_needs_no_list() -> None:
    token: Any = 7
    assert SamplingParams(stop_token_ids=token).stop_token_ids == (7,)


@given(PARAMS, PARAMS)
def test_what_counts_is_decided_field_by_field(upper: dict[str, Any], lower: dict[str, Any]) -> None:
    assert SamplingParams(**upper).over(SamplingParams(**lower)).given() == lower | upper


@given(PARAMS)
def test_over_nothing_changes_nothing(fields: dict[str, Any]) -> None:
    params = SamplingParams(**fields)
    assert params.over(None) == params.over(SamplingParams()) == SamplingParams().over(params) == params


@given(PARAMS)
def test_given_holds_exactly_the_fields_that_are_set(fields: dict[str, Any]) -> None:
    assert SamplingParams(**fields).given() == fields


@pytest.mark.parametrize(
    ("upper", "lower", "words"),
    [
        ({"min_new_tokens": 10}, {"max_new_tokens": 5}, "min_new_tokens = 10 is more than max_new_tokens = 5"),
        ({"regex": "a"}, {"ebnf": "b"}, "regex and ebnf"),
        ({"json_schema": "{}"}, {"min_new_tokens": 1}, "min_new_tokens = 1 with json_schema"),
    ],
)
def test_two_that_do_not_fit_together_are_refused(upper: Any, lower: Any, words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words) as caught:
        SamplingParams(**upper).over(SamplingParams(**lower))
    assert (caught.value.argument, caught.value.given) == ("sampling", lower | upper)


def test_changed_fields_leave_the_others_and_the_original() -> None:
    params = SamplingParams(temperature=1, max_new_tokens=5)
    changed = params.changed({"max_new_tokens": 3, "seed": 0})
    assert changed.given() == {"temperature": 1.0, "max_new_tokens": 3, "seed": 0}
    assert params.given() == {"temperature": 1.0, "max_new_tokens": 5}
    assert params.changed({}) == params


def test_parameters_do_not_change() -> None:
    params: Any = SamplingParams(temperature=1)
    with pytest.raises(ValueError, match="frozen"):
        params.temperature = 2


def test_the_same_merge_gives_the_same_object() -> None:
    call, client, other = SamplingParams(top_p=0.9), SamplingParams(temperature=0.5), SamplingParams(temperature=0.7)
    merged = call.over(client)
    assert merged is call.over(client)
    assert call.over(other).temperature == 0.7
    assert call.over(client) == merged
    assert merged.changed({"max_new_tokens": 4}) is merged.changed({"max_new_tokens": 4})
    assert merged.changed({"max_new_tokens": 5}).max_new_tokens == 5
    idle = SamplingParams(top_p=0.1)
    for _ in range(2):  # as the client's, which has nothing to add, and the profile's come by turns
        assert call.over(idle) is call
        assert call.over(client) is call.over(client)
    assert call.over(call) is call


def test_what_was_merged_before_is_no_part_of_the_parameters() -> None:
    used, fresh = SamplingParams(top_p=0.9), SamplingParams(top_p=0.9)
    used.over(SamplingParams(temperature=0.5))
    used.changed({"seed": 1})
    assert (used, hash(used), repr(used)) == (fresh, hash(fresh), repr(fresh))
    assert pickle.loads(pickle.dumps(used)) == copy.deepcopy(used) == fresh
    assert used.model_copy(update={"top_p": 0.8}).changed({"seed": 1}).top_p == 0.8
