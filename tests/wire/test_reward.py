from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client import Usage
from ets_client._wire.broken import BrokenReplyError
from ets_client._wire.reward import read_rewards, reward_body


def answer(*heads: Any) -> bytes:
    """A reply with these outputs."""
    return json.dumps([{"embedding": each, "meta_info": {"id": "a", "prompt_tokens": 3}} for each in heads]).encode()


def numbers(body: bytes, expected: int) -> list[tuple[float, ...] | None]:
    """What is read of it, without its price."""
    return [verdict.numbers for verdict in read_rewards(body, expected)]


def test_prompts_are_sent_as_ids_with_ids_of_their_own() -> None:
    assert json.loads(reward_body([[1, 2], [3]], ["a", "b"])) == {"input_ids": [[1, 2], [3]], "rid": ["a", "b"]}


def test_outputs_come_in_order() -> None:
    assert numbers(answer([-8.25], [2]), 2) == [(-8.25,), (2.0,)]
    assert numbers(answer([0.5, -0.5, 1e30]), 1) == [(0.5, -0.5, 1e30)]


def test_the_tokens_of_each_prompt_are_told() -> None:
    assert [verdict.usage for verdict in read_rewards(answer([1.0], []), 2)] == [Usage(3), Usage(3)]


@pytest.mark.parametrize("head", [[], [None], [1.0, None]])
def test_outputs_that_are_no_numbers_are_none(head: Any) -> None:
    assert numbers(answer(head, [1.0]), 2) == [None, (1.0,)]


def test_a_prompt_that_was_stopped_in_the_queue_has_none() -> None:
    aborted = {"text": "", "output_ids": [], "meta_info": {"id": "a", "finish_reason": {"type": "abort"}}}
    assert numbers(json.dumps([aborted, *json.loads(answer([1.0]))]).encode(), 2) == [None, (1.0,)]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_another_number_of_samples_is_a_broken_reply(count: int) -> None:
    with pytest.raises(BrokenReplyError, match=f"{count} samples for a batch of 2"):
        read_rewards(answer(*[[1.0]] * count), 2)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"<html>", "the body"),
        (b'{"embedding": [1.0]}', "the body"),
        (b'[{"embedding": [1.0]}]', "0.meta_info"),
        (answer(["x"]), "0.embedding.0"),
        (answer([[1.0]]), "0.embedding.0"),
        (answer("x"), "0.embedding"),
        (answer(None), "a sample without the outputs of a head"),
    ],
)
def test_garbage_is_a_broken_reply_that_says_where(body: bytes, where: str) -> None:
    with pytest.raises(BrokenReplyError) as caught:
        read_rewards(body, 1)
    assert str(caught.value).startswith(where)


@given(st.binary() | st.lists(st.lists(st.floats() | st.none())).map(lambda heads: answer(*heads)))
def test_whatever_comes_is_read_or_broken(body: bytes) -> None:
    try:
        (found,) = numbers(body, 1)
    except BrokenReplyError:
        return
    assert found is None or all(abs(value) < float("inf") for value in found)
