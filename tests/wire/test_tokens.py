from __future__ import annotations

import json

import pytest

from ets_client._wire.broken import BrokenReplyError
from ets_client._wire.tokens import (
    detokenize_body,
    detokenize_each_body,
    read_text,
    read_texts,
    read_token_lists,
    read_tokens,
    tokenize_body,
    tokenize_chat_body,
    tokenize_each_body,
)


def test_a_text_is_sent_with_its_rule_for_special_tokens() -> None:
    assert json.loads(tokenize_body("ки", add_special_tokens=False)) == {"prompt": "ки", "add_special_tokens": False}


@pytest.mark.parametrize(("role", "stays_open"), [("assistant", True), ("user", False)])
def test_an_assistants_last_message_stays_open(role: str, *, stays_open: bool) -> None:
    messages = [{"role": role, "content": "x"}]
    assert json.loads(tokenize_chat_body(messages)) == {
        "messages": messages,
        "continue_final_message": stays_open,
    }


def test_special_tokens_are_part_of_decoded_text() -> None:
    assert json.loads(detokenize_body((1, 2))) == {"tokens": [1, 2], "skip_special_tokens": False}


def test_ids_and_text_are_read() -> None:
    assert read_tokens(b'{"tokens":[1,2],"count":2,"max_model_len":8192}') == (1, 2)
    assert read_text('{"text":"ки"}'.encode()) == "ки"


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"tokens":["x"],"text":5}', b"Internal Server Error"])
def test_anything_else_is_broken(body: bytes) -> None:
    with pytest.raises(BrokenReplyError, match=r"^/tokenize"):
        read_tokens(body)
    with pytest.raises(BrokenReplyError, match=r"^/detokenize"):
        read_text(body)


def test_a_router_is_told_of_which_model() -> None:
    assert json.loads(tokenize_body("a", add_special_tokens=False, model="m"))["model"] == "m"
    assert json.loads(detokenize_body((1,), model="m"))["model"] == "m"


def test_several_texts_and_rows_are_one_request() -> None:
    assert json.loads(tokenize_each_body(["a", "ки"], add_special_tokens=True)) == {
        "prompt": ["a", "ки"],
        "add_special_tokens": True,
    }
    assert json.loads(detokenize_each_body([(1,), (2, 3)])) == {"tokens": [[1], [2, 3]], "skip_special_tokens": False}


def test_several_replies_are_read() -> None:
    assert read_token_lists(b'{"tokens":[[1],[2,3]],"count":[1,2]}', 2) == [(1,), (2, 3)]
    assert read_texts(b'{"text":["a","b"]}', 2) == ["a", "b"]


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"tokens":[1],"text":"a"}', b'{"tokens":[[1]],"text":["a"]}', b"Internal Server Error"]
)
def test_other_replies_or_another_number_of_them_are_broken(body: bytes) -> None:
    with pytest.raises(BrokenReplyError, match=r"^/tokenize"):
        read_token_lists(body, 2)
    with pytest.raises(BrokenReplyError, match=r"^/detokenize"):
        read_texts(body, 2)
