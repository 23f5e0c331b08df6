from __future__ import annotations

import pytest

from ets_client import InvalidRequestError
from ets_client._core.prompt import Message, check_messages, question_messages, render_messages
from ets_client.profiles import ChatPrompt, ServerChatPrompt, Shot, Turn

CHAT = ChatPrompt(
    bos="<s>",
    system=Turn(before="[S]", after="[/S]"),
    user=Turn(before="[U]", after="[/U]"),
    assistant=Turn(before="[A]", after="[/A]"),
    system_prompt="Be brief.",
    shots=(Shot(question="1+1", solution="2"),),
)


def test_a_question_comes_after_system_prompt_and_worked_examples() -> None:
    assert render_messages(CHAT, question_messages(CHAT, "2+2")) == (
        "<s>[S]Be brief.[/S][U]1+1[/U][A]2[/A][U]2+2[/U][A]"
    )


def test_a_format_without_system_prompt_and_examples_is_the_question_alone() -> None:
    assert question_messages(ServerChatPrompt(), "2+2") == [{"role": "user", "content": "2+2"}]


def test_an_assistants_last_message_stays_open() -> None:
    messages: list[Message] = [{"role": "user", "content": "2+2"}, {"role": "assistant", "content": "It is"}]
    assert render_messages(CHAT, messages) == "<s>[U]2+2[/U][A]It is"


def test_a_well_formed_chat_passes_unchanged() -> None:
    messages = [{"role": "system", "content": ""}, {"role": "user", "content": "ки"}]
    assert check_messages(messages) == messages


@pytest.mark.parametrize(
    "message",
    [
        {"role": "tool", "content": "x"},
        {"role": "user"},
        {"role": "user", "content": None},
        {"role": "user", "content": "x", "name": "y"},
        {"role": ["user"], "content": "x"},
        "user: x",
        None,
    ],
)
def test_a_message_of_another_shape_is_refused_with_its_place(message: object) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check_messages([{"role": "user", "content": "x"}, message])
    assert caught.value.argument == "messages[1]"


def test_a_lone_surrogate_in_a_message_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match=r"messages\[0\]\.content"):
        check_messages([{"role": "user", "content": "\ud800"}])


def test_no_messages_are_refused() -> None:
    with pytest.raises(InvalidRequestError, match="at least one message"):
        check_messages([])
