"""``POST /tokenize`` and ``/detokenize``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import to_json

from .broken import BrokenReplyError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["detokenize_body", "read_text", "read_tokens", "tokenize_body", "tokenize_chat_body"]


class _WireTokens(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)

    tokens: list[int]


class _WireText(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)

    text: str


def tokenize_body(text: str, *, add_special_tokens: bool) -> bytes:
    """Ask for the ids of a text."""
    return to_json({"prompt": text, "add_special_tokens": add_special_tokens})


def tokenize_chat_body(messages: Sequence[Mapping[str, object]]) -> bytes:
    """Ask for the ids of a chat in the served model's own format; an assistant's last message stays open."""
    return to_json({"messages": messages, "continue_final_message": messages[-1]["role"] == "assistant"})


def detokenize_body(token_ids: Sequence[int]) -> bytes:
    """Ask for the text of ids, special tokens included."""
    return to_json({"tokens": token_ids, "skip_special_tokens": False})


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
