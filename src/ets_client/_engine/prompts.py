"""Make token ids of what callers give: text, chats, questions or ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from .._core.guard import check_ids, check_text
from .._core.prompt import check_messages, question_messages, render_messages
from ..branch import Expansion
from ..errors import InvalidRequestError
from ..profiles import ChatPrompt, CompletionPrompt, ServerChatPrompt

if TYPE_CHECKING:
    from .tokenizers import Remote, Tokenizer

__all__ = ["Prompts"]


class Prompts:
    """One profile's way to write prompts, with one server's tokenizer."""

    def __init__(
        self,
        prompt: ChatPrompt | ServerChatPrompt | CompletionPrompt,
        tokenizer: Tokenizer,
        server: Remote,
        vocab_size: int | None,
    ) -> None:
        """Make it.

        Args:
            prompt: the profile's format.
            tokenizer: who turns text into ids.
            server: the server itself, for its own chat template.
            vocab_size: ids below it exist, or None when nobody knows.
        """
        self._prompt = prompt
        self._tokenizer = tokenizer
        self._server = server
        self._vocab_size = vocab_size

    async def encode_question(self, question: str) -> tuple[Sequence[int], str]:
        """Ids and text of a question in the profile's format.

        Raises:
            InvalidRequestError: the question is empty.
            RequestError: the server was asked to tokenise and failed.
        """
        check_text(question, "question")
        if isinstance(self._prompt, CompletionPrompt):
            return await self.encode(self._prompt.template.replace("{question}", question))
        return await self.encode(question_messages(self._prompt, question))

    async def encode(self, source: object) -> tuple[Sequence[int], str]:
        """Ids and text of what a caller gave.

        Args:
            source: text, chat messages or token ids.

        Raises:
            InvalidRequestError: it is none of them, empty, or holds ids outside the vocabulary.
            RequestError: the server was asked to tokenise and failed.
        """
        if isinstance(source, str):
            return await self._encode_text(check_text(source, "prefix"))
        if isinstance(source, Expansion):
            raise InvalidRequestError("prefix", source, "one of its branches, expansion[0] for example")
        if not isinstance(source, Sequence) or isinstance(source, bytes | bytearray):
            raise InvalidRequestError("prefix", source, "a prefix, a branch, text, chat messages or token ids")
        items = cast("Sequence[object]", source)
        if items and isinstance(items[0], Mapping):
            return await self._encode_chat(items)
        ids = check_ids(items, self._vocab_size)
        return ids, await self._tokenizer.decode(ids)

    async def _encode_text(self, text: str) -> tuple[Sequence[int], str]:
        # A raw text for a model whose chat template the server holds follows the tokenizer's own rule.
        special = True if isinstance(self._prompt, ServerChatPrompt) else self._prompt.add_special_tokens
        return await self._tokenizer.encode(text, add_special_tokens=special), text

    async def _encode_chat(self, given: Sequence[object]) -> tuple[Sequence[int], str]:
        messages = check_messages(given)
        if isinstance(self._prompt, ServerChatPrompt):
            ids = await self._server.encode_chat(messages)
            return ids, await self._tokenizer.decode(ids)
        if isinstance(self._prompt, CompletionPrompt):
            raise InvalidRequestError("messages", messages, "the profile has no chat format: give text or token ids")
        return await self._encode_text(check_text(render_messages(self._prompt, messages)))
