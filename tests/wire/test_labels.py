from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client import Usage
from ets_client._wire.broken import BrokenReplyError
from ets_client._wire.labels import choice_body, label_body, read_choices, read_labels, router_label_body

PLUS, MINUS = 43, 45


def answer(*rows: Any) -> bytes:
    """A reply of samples with these log-probabilities of their prompts' ends."""
    return json.dumps([{"text": "", "meta_info": {"input_token_logprobs": each}} for each in rows]).encode()


def ends(plus: float | None, minus: float | None) -> list[Any]:
    """The two rows of one prompt."""
    return [[[-7.0, 1, None], [plus, PLUS, None]], [[-7.0, 1, None], [minus, MINUS, "-"]]]


def read(body: bytes, expected: int = 1) -> list[tuple[float, ...] | None]:
    return [verdict.numbers for verdict in read_labels(body, expected, (PLUS, MINUS))]


def test_each_prompt_is_sent_with_each_label_behind_it_and_generates_nothing() -> None:
    assert json.loads(label_body([[1, 2], [3]], ["a", "b", "c", "d"], (PLUS, MINUS), None)) == {
        "input_ids": [[1, 2, PLUS], [1, 2, MINUS], [3, PLUS], [3, MINUS]],
        "rid": ["a", "b", "c", "d"],
        "sampling_params": {"max_new_tokens": 0, "temperature": 1.0},
        "return_logprob": True,
        "logprob_start_len": [1, 1, 0, 0],
    }


def test_each_row_has_the_namespace_of_its_prompt() -> None:
    body = json.loads(label_body([[1], [2]], ["a", "b", "c", "d"], (PLUS, MINUS), ["other", "tree"]))
    assert body["extra_key"] == ["other", "other", "tree", "tree"]


def test_values_come_in_the_order_of_the_labels() -> None:
    assert read(answer(*ends(-1.0, -2.0), *ends(-3.0, -4.0)), 2) == [(-1.0, -2.0), (-3.0, -4.0)]


def test_the_first_token_of_all_has_no_value_and_need_not() -> None:
    assert read(answer([[None, 3, None], [-1.0, PLUS, None]], [[None, 3, None], [-2.0, MINUS, None]])) == [(-1.0, -2.0)]


def test_a_label_without_any_probability_is_minus_infinity() -> None:
    assert read(answer(*ends(None, -0.5))) == [(-math.inf, -0.5)]


@pytest.mark.parametrize("rows", [(None, None), ([], []), ([], ends(-1.0, -2.0)[1]), tuple(ends(None, None))])
def test_a_prompt_without_a_value_for_each_label_has_none(rows: Any) -> None:
    assert read(answer(*rows, *ends(-1.0, -2.0)), 2) == [None, (-1.0, -2.0)]


def test_a_prompt_one_of_whose_rows_was_aborted_in_the_queue_has_none() -> None:
    aborted = {"text": "", "meta_info": {"id": "a", "finish_reason": {"type": "abort"}}}
    assert read(json.dumps([*json.loads(answer(ends(-1.0, -2.0)[0])), aborted]).encode()) == [None]


def test_the_tokens_of_a_prompts_rows_are_added_up_and_those_of_a_row_that_never_ran_are_none() -> None:
    rows = json.loads(answer(*ends(-1.0, -2.0), None))
    rows[0]["meta_info"] |= {"prompt_tokens": 5, "cached_tokens": 3}
    rows[1]["meta_info"] |= {"prompt_tokens": 5, "cached_tokens": 4}
    verdicts = read_labels(json.dumps([*rows, rows[0]]).encode(), 2, (PLUS, MINUS))
    assert [verdict.usage for verdict in verdicts] == [Usage(10, 7), Usage(5, 3)]


@pytest.mark.parametrize("count", [0, 1, 3, 5])
def test_another_number_of_samples_is_a_broken_reply(count: int) -> None:
    with pytest.raises(BrokenReplyError, match=f"{count} samples for a batch of 4"):
        read(answer(*[None] * count), 2)


def test_the_value_of_another_token_is_a_broken_reply() -> None:
    with pytest.raises(BrokenReplyError, match="token 45 instead of label 43"):
        read(answer(*reversed(ends(-1.0, -2.0))))


def test_the_last_id_of_the_vocabulary_may_be_called_0() -> None:
    row = [[-7.0, 1, None], [-1.5, 0, None]]
    (found,) = read_labels(answer(ends(-1.0, -2.0)[0], row), 1, (PLUS, 2047))
    assert found.numbers == (-1.0, -1.5)
    with pytest.raises(BrokenReplyError, match="token 0 instead of label 43"):
        read_labels(answer(row, ends(-1.0, -2.0)[1]), 1, (PLUS, 2047))


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"<html>", "the body"),
        (b"{}", "the body"),
        (b'[{"text": "x"}]', "[0]: Object missing required field `meta_info`"),
        (answer([["x", PLUS, None]]), "[0].meta_info.input_token_logprobs[0][0]"),
        (answer([[-1.0, PLUS]]), "[0].meta_info.input_token_logprobs[0]"),
        (answer("x"), "[0].meta_info.input_token_logprobs"),
    ],
)
def test_garbage_is_a_broken_reply_that_says_where(body: bytes, where: str) -> None:
    with pytest.raises(BrokenReplyError) as caught:
        read(body)
    assert str(caught.value).startswith(where)


ROWS = st.none() | st.lists(st.tuples(st.floats() | st.none(), st.sampled_from([PLUS, MINUS, 1]), st.none()))


@given(st.binary() | st.lists(ROWS, max_size=3).map(lambda rows: answer(*rows)))
def test_whatever_comes_is_read_or_broken(body: bytes) -> None:
    try:
        (found,) = read(body)
    except BrokenReplyError:
        return
    assert found is None or len(found) == 2


def test_through_a_router_everything_but_the_rows_is_given_once() -> None:
    assert json.loads(router_label_body([[1, 2, 7], [1, 2, 8]], "a", namespace="tree")) == {
        "input_ids": [[1, 2, 7], [1, 2, 8]],
        "rid": "a",
        "sampling_params": {"max_new_tokens": 0, "temperature": 1.0},
        "return_logprob": True,
        "logprob_start_len": 1,
        "extra_key": "tree",
    }
    assert "extra_key" not in json.loads(router_label_body([[1, 7]], "a", namespace=None))


def told(*positions: Any) -> bytes:
    """A reply of samples, each with the most probable tokens of its first."""
    return json.dumps([{"meta_info": {"output_top_logprobs": each}} for each in positions]).encode()


def chosen(body: bytes, expected: int = 1) -> list[tuple[float, ...] | None]:
    return [verdict.numbers for verdict in read_choices(body, expected, (PLUS, MINUS))]


def test_a_choice_is_one_token_with_all_labels_lifted_and_told() -> None:
    sampling = {"max_new_tokens": 1, "temperature": 0.0, "ignore_eos": True, "logit_bias": {"43": 100.0, "45": 100.0}}
    assert json.loads(choice_body([[1, 2], [3]], ["a", "b"], (PLUS, MINUS), None)) == {
        "input_ids": [[1, 2], [3]],
        "rid": ["a", "b"],
        "sampling_params": [sampling, sampling],
        "return_logprob": True,
        "top_logprobs_num": 2,
    }
    more = json.loads(choice_body([[1], [2]], ["a", "b"], (PLUS, MINUS), ["other", "tree"], 1))
    assert (more["extra_key"], more["routed_dp_rank"]) == (["other", "tree"], 1)


def test_probabilities_of_a_choice_come_in_the_order_of_the_labels() -> None:
    first = [[[math.log(0.75), MINUS, None], [math.log(0.25), PLUS, "+"]]]
    second = [[[math.log(0.9), PLUS, None], [math.log(0.1), MINUS, None]]]
    assert chosen(told(first, second), 2) == [pytest.approx((0.25, 0.75)), pytest.approx((0.9, 0.1))]


@pytest.mark.parametrize("last", [[None, MINUS, None], [None, 7, None], [-3.4e38, MINUS, None], [-200.0, 7, None]])
def test_a_label_that_is_nothing_in_32_bits_has_no_probability(last: Any) -> None:
    assert chosen(told([[[0.0, PLUS, None], last]])) == [(1.0, 0.0)]


@pytest.mark.parametrize("positions", [None, [], [None], [[]], [[[None, PLUS, None], [None, MINUS, None]]]])
def test_a_prompt_without_any_probability_has_no_choice(positions: Any) -> None:
    assert chosen(told(positions)) == [None]


def test_a_server_that_does_not_heed_the_bias_is_not_believed() -> None:
    with pytest.raises(BrokenReplyError, match="labels that were lifted above all"):
        chosen(told([[[math.log(0.5), PLUS, None], [math.log(0.4), 7, None]]]))


def test_choices_are_as_many_as_prompts() -> None:
    with pytest.raises(BrokenReplyError, match="1 samples for a batch of 2"):
        chosen(told(None), 2)


@given(st.lists(st.floats(-80.0, 80.0), min_size=2, max_size=8, unique=True))
def test_a_choice_is_the_softmax_over_the_labels(logits: list[float]) -> None:
    labels = tuple(range(len(logits)))
    top = max(logits)
    weights = [math.exp(logit - top) for logit in logits]
    expected = tuple(weight / math.fsum(weights) for weight in weights)
    rows = [[math.log(value), label, None] for label, value in enumerate(expected)]
    (found,) = read_choices(told([sorted(rows, key=lambda row: -row[0])]), 1, labels)
    assert found.numbers == pytest.approx(expected)
