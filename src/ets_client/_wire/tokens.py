"""``POST /tokenize`` and ``/detokenize``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from .broken import BrokenReplyError
from .codec import to_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "detokenize_body",
    "detokenize_each_body",
    "read_text",
    "read_texts",
    "read_token_lists",
    "read_tokens",
    "tokenize_body",
    "tokenize_chat_body",
    "tokenize_each_body",
]


class _WireTokens(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)

    tokens: list[int]


class _WireText(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)

    text: str


class _WireTokenLists(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)

    tokens: list[list[int]]


class _WireTexts(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)

    text: list[str]


def tokenize_body(text: str, *, add_special_tokens: bool, model: str | None = None) -> bytes:
    """Ask for the ids of a text; a router wants to know of which model."""
    body = {"prompt": text, "add_special_tokens": add_special_tokens}
    return to_json(body if model is None else body | {"model": model})


def tokenize_each_body(texts: Sequence[str], *, add_special_tokens: bool) -> bytes:
    """Ask for the ids of several texts."""
    return to_json({"prompt": texts, "add_special_tokens": add_special_tokens})


def tokenize_chat_body(messages: Sequence[Mapping[str, object]]) -> bytes:
    """Ask for the ids of a chat in the served model's own format; an assistant's last message stays open."""
    return to_json({"messages": messages, "continue_final_message": messages[-1]["role"] == "assistant"})


def detokenize_body(token_ids: Sequence[int], *, model: str | None = None) -> bytes:
    """Ask for the text of ids, special tokens included; a router wants to know of which model."""
    body = {"tokens": token_ids, "skip_special_tokens": False}
    return to_json(body if model is None else body | {"model": model})


def detokenize_each_body(rows: Sequence[Sequence[int]]) -> bytes:
    """Ask for the text of each row of ids, special tokens included."""
    return to_json({"tokens": rows, "skip_special_tokens": False})


def read_tokens(body: bytes) -> tuple[int, ...]:
    """Read ``/tokenize``.

    Raises:
        BrokenReplyError: it holds no ids.
    """
    try:
        return tuple(_WireTokens.model_validate_json(body).tokens)
    except ValidationError as error:
        raise BrokenReplyError(f"/tokenize: {error.errors(include_url=False)[0]['msg']}") from None


def read_text(body: bytes) -> str:
    """Read ``/detokenize``.

    Raises:
        BrokenReplyError: it holds no text.
    """
    try:
        return _WireText.model_validate_json(body).text
    except ValidationError as error:
        raise BrokenReplyError(f"/detokenize: {error.errors(include_url=False)[0]['msg']}") from None


def read_token_lists(body: bytes, count: int) -> list[tuple[int, ...]]:
    """Read ``/tokenize`` of several texts.

    Args:
        body: the reply.
        count: how many texts there were.

    Raises:
        BrokenReplyError: it holds no lists of ids, or another number of them.
    """
    try:
        lists = [tuple(ids) for ids in _WireTokenLists.model_validate_json(body).tokens]
    except ValidationError as error:
        raise BrokenReplyError(f"/tokenize: {error.errors(include_url=False)[0]['msg']}") from None
    if len(lists) != count:
        raise BrokenReplyError(f"/tokenize: {len(lists)} lists of ids for {count} texts")
    return lists


def read_texts(body: bytes, count: int) -> list[str]:
    """Read ``/detokenize`` of several rows.

    Args:
        body: the reply.
        count: how many rows there were.

    Raises:
        BrokenReplyError: it holds no texts, or another number of them.
    """
    try:
        texts = _WireTexts.model_validate_json(body).text
    except ValidationError as error:
        raise BrokenReplyError(f"/detokenize: {error.errors(include_url=False)[0]['msg']}") from None
    if len(texts) != count:
        raise BrokenReplyError(f"/detokenize: {len(texts)} texts for {count} rows")
    return texts
