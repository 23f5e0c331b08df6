"""Turn questions and messages into prompt text by a profile's format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, TypedDict, cast

from ..errors import InvalidRequestError
from .guard import check_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..profiles import ChatPrompt, ServerChatPrompt

__all__ = ["Message", "check_messages", "question_messages", "render_messages"]

_SHAPE = '{"role": "system", "user" or "assistant", "content": text}'


class Message(TypedDict):
    """One message of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


def question_messages(prompt: ChatPrompt | ServerChatPrompt, question: str) -> list[Message]:
    """The chat that puts a question to the policy, worked examples first.

    Args:
        prompt: the profile's format.
        question: the question.
    """
    messages: list[Message] = []
    if prompt.system_prompt:
        messages.append({"role": "system", "content": prompt.system_prompt})
    for shot in prompt.shots:
        messages.append({"role": "user", "content": shot.question})
        messages.append({"role": "assistant", "content": shot.solution})
    messages.append({"role": "user", "content": question})
    return messages


def check_messages(messages: Sequence[object]) -> list[Message]:
    """Check the shape of a chat.

    Args:
        messages: ``{"role": ..., "content": ...}`` each.

    Raises:
        InvalidRequestError: there are none, or one has another shape or role.
    """
    if not messages:
        raise InvalidRequestError("messages", [], "at least one message")
    checked: list[Message] = []
    for place, message in enumerate(messages):
        fields = _fields(message)
        role, content = fields.get("role"), fields.get("content")
        if role not in ("system", "user", "assistant") or not isinstance(content, str) or len(fields) != 2:
            raise InvalidRequestError(f"messages[{place}]", message, _SHAPE)
        if content:
            check_text(content, f"messages[{place}].content")
        checked.append({"role": role, "content": content})
    return checked


def _fields(message: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", message) if isinstance(message, Mapping) else {}


def render_messages(prompt: ChatPrompt, messages: Sequence[Message]) -> str:
    """The text of a chat whose next words are the assistant's.

    When the last message is the assistant's, its turn stays open and the policy continues it.

    Args:
        prompt: the profile's format.
        messages: at least one.
    """
    turns = {"system": prompt.system, "user": prompt.user, "assistant": prompt.assistant}
    parts = [prompt.bos]
    for message in messages:
        turn = turns[message["role"]]
        parts += [turn.before, message["content"], turn.after]
    if messages[-1]["role"] == "assistant":
        parts.pop()
    else:
        parts.append(prompt.assistant.before)
    return "".join(parts)
