"""its_hub's messages, as the client takes them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ...errors import InvalidRequestError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from its_hub.api import ChatMessage  # pyright: ignore[reportMissingTypeStubs]

    from .text_paths import Conversation

__all__ = ["question_in", "split_response"]


def split_response(messages: Sequence[ChatMessage | Mapping[str, Any]]) -> tuple[Conversation, str]:
    """A conversation, and the response that it ends with or "".

    Args:
        messages: as its_hub has them, or dictionaries with the same fields.

    Raises:
        InvalidRequestError: one has contents that are no text.
        UnsupportedError: one calls a tool or tells a tool's result.
    """
    told = tuple(_role_and_text(message, place) for place, message in enumerate(messages))
    if told and told[-1][0] == "assistant":
        return told[:-1], told[-1][1]
    return told, ""


def question_in(conversation: Conversation) -> str:
    """The last thing that the user said."""
    return next((text for role, text in reversed(conversation) if role == "user"), "")


def _role_and_text(message: ChatMessage | Mapping[str, Any], place: int) -> tuple[str, str]:
    fields = cast("Mapping[str, Any]", message if isinstance(message, dict) else vars(message))
    role, content = fields["role"], fields["content"]
    if role == "tool" or fields.get("tool_calls"):
        raise UnsupportedError(
            f"messages[{place}] with a tool's call or result",
            "the client sends token ids, and SGLang reads tool calls in its chat endpoint alone: render them as text",
        )
    if content is None or isinstance(content, str):
        return role, content or ""
    parts = cast("list[Mapping[str, Any]]", content)
    if any(part.get("type") != "text" for part in parts):
        raise InvalidRequestError(f"messages[{place}].content", content, "text, or a list of parts of type 'text'")
    return role, " ".join(part["text"] for part in parts)
