"""its_hub's arguments as sampling."""

from __future__ import annotations

import json

import pytest

from ets_client import InvalidRequestError, SamplingParams, UnsupportedError
from ets_client.adapters.its_hub.options import read_options


def test_what_a_call_says_counts_over_the_models_sampling() -> None:
    over = SamplingParams(temperature=0.3, top_p=0.9, max_new_tokens=7)
    wanted = read_options("\n", {"max_completion_tokens": 9, "temperature": 0.8}, over, 2)
    expected = SamplingParams(temperature=0.8, top_p=0.9, max_new_tokens=9, stop="\n")
    assert wanted.samplings == (expected, expected)
    assert read_options(None, {"max_tokens": 3}, None, 1).samplings == (SamplingParams(max_new_tokens=3),)
    assert read_options(["a", "b"], {}, over, 1).samplings[0].stop == ("a", "b")
    assert read_options(None, {"include_stop_str_in_output": True}, None, 1).keeps_stop
    assert not read_options(None, {"include_stop_str_in_output": None}, None, 1).keeps_stop


def test_each_conversation_may_have_its_temperature() -> None:
    wanted = read_options(None, {"temperature": [0.1, None, 0.1]}, SamplingParams(temperature=0.7), 3)
    assert [sampling.temperature for sampling in wanted.samplings] == [0.1, 0.7, 0.1]


def test_a_response_format_is_a_schema() -> None:
    schema = {"type": "object", "properties": {"answer": {"type": "integer"}}}
    strict = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    (sampling,) = read_options(None, {"response_format": strict}, None, 1).samplings
    assert json.loads(sampling.json_schema or "") == schema
    (sampling,) = read_options(None, {"response_format": {"type": "json_object"}}, None, 1).samplings
    assert json.loads(sampling.json_schema or "") == {"type": "object"}
    (sampling,) = read_options(None, {"response_format": {"type": "text"}}, None, 1).samplings
    assert sampling.json_schema is None
    with pytest.raises(UnsupportedError, match="response_format"):
        read_options(None, {"response_format": {"type": "xml"}}, None, 1)


def test_what_cannot_be_done_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="tools"):
        read_options(None, {"tools": [{"type": "function"}]}, None, 1)
    assert read_options(None, {"tools": None, "tool_choice": "auto", "loop": None}, None, 1).usage is None
    with pytest.raises(InvalidRequestError, match="max_tokens"):
        read_options(None, {"max_tokens": 3, "max_completion_tokens": 3}, None, 1)
    with pytest.raises(TypeError, match="no argument 'best_of'; there are max_completion_tokens"):
        read_options(None, {"best_of": 3}, None, 1)
