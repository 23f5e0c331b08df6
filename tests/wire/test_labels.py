from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client._wire.broken import BrokenReplyError
from ets_client._wire.labels import label_body, read_label_logprobs

PLUS, MINUS = 43, 45


def answer(*positions: Any) -> bytes:
    """A reply of samples with these label log-probabilities at their first token."""
    return json.dumps([{"text": "x", "meta_info": {"output_token_ids_logprobs": each}} for each in positions]).encode()


def read(body: bytes, expected: int = 1) -> list[tuple[float, ...] | None]:
    return read_label_logprobs(body, expected, (PLUS, MINUS))


def test_each_prompt_asks_for_all_labels_and_one_token_at_temperature_1() -> None:
    assert json.loads(label_body([[1, 2], [3]], ["a", "b"], (PLUS, MINUS), [None, None])) == {
        "input_ids": [[1, 2], [3]],
        "rid": ["a", "b"],
        "sampling_params": {"max_new_tokens": 1, "temperature": 1.0},
        "return_logprob": True,
        "token_ids_logprob": [[PLUS, MINUS], [PLUS, MINUS]],
    }


def test_prompts_with_and_without_a_namespace_go_together() -> None:
    body = json.loads(label_body([[1], [2]], ["a", "b"], (PLUS,), [None, "tree"]))
    assert body["extra_key"] == ["", "tree"]


def test_values_come_in_the_order_of_the_labels() -> None:
    mixed, straight = [[[-2.0, MINUS, None], [-1.0, PLUS, "+"]]], [[[-3.0, PLUS, None], [-4.0, MINUS, None]]]
    assert read(answer(mixed, straight), 2) == [(-1.0, -2.0), (-3.0, -4.0)]


def test_only_the_first_generated_token_counts() -> None:
    first, second = [[-1.0, PLUS, None], [-2.0, MINUS, None]], [[-8.0, PLUS, None], [-9.0, MINUS, None]]
    assert read(answer([first, second])) == [(-1.0, -2.0)]


def test_a_label_without_any_probability_is_minus_infinity() -> None:
    assert read(answer([[[None, PLUS, None], [-0.5, MINUS, None]]])) == [(-math.inf, -0.5)]


@pytest.mark.parametrize(
    "positions",
    [
        None,
        [],
        [None],
        [[]],
        [[[-1.0, PLUS, None]]],
        [[[None, PLUS, None], [None, MINUS, None]]],
    ],
)
def test_a_sample_without_a_value_for_each_label_has_none(positions: Any) -> None:
    good = [[[-1.0, PLUS, None], [-2.0, MINUS, None]]]
    assert read(answer(positions, good), 2) == [None, (-1.0, -2.0)]


def test_a_sample_that_was_aborted_in_the_queue_has_none() -> None:
    assert read(b'[{"text": "", "meta_info": {"id": "a", "finish_reason": {"type": "abort"}}}]') == [None]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_another_number_of_samples_is_a_broken_reply(count: int) -> None:
    with pytest.raises(BrokenReplyError, match=f"{count} samples for a batch of 2"):
        read(answer(*[None] * count), 2)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"<html>", "the body"),
        (b"{}", "the body"),
        (b'[{"text": "x"}]', "0.meta_info"),
        (answer([[["x", PLUS, None]]]), "0.meta_info.output_token_ids_logprobs.0.0.0"),
        (answer([[[-1.0, PLUS]]]), "0.meta_info.output_token_ids_logprobs.0.0.2"),
        (answer("x"), "0.meta_info.output_token_ids_logprobs"),
    ],
)
def test_garbage_is_a_broken_reply_that_says_where(body: bytes, where: str) -> None:
    with pytest.raises(BrokenReplyError) as caught:
        read(body)
    assert str(caught.value).startswith(where)


@given(
    st.binary()
    | st.lists(st.none() | st.lists(st.none() | st.lists(st.tuples(st.floats(), st.integers(0, 50), st.none()))))
    .map(lambda positions: answer(*positions))
)  # fmt: skip
def test_whatever_comes_is_read_or_broken(body: bytes) -> None:
    try:
        (found,) = read(body)
    except BrokenReplyError:
        return
    assert found is None or len(found) == 2
