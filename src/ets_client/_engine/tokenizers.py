"""Text to ids and back: on this machine when the server's tokenizer is at hand, else by the server."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from .._wire.tokens import (
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
from .caller import Outgoing
from .deadline import Deadline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenizers import Tokenizer as HubTokenizer

    from .._core.prompt import Message
    from .caller import Caller

__all__ = [
    "BatchTokenizer",
    "LocalTokenizer",
    "ServerTokenizer",
    "TokenTexts",
    "Tokenizer",
    "find_local_tokenizer",
    "load_local_tokenizer",
]

_log = logging.getLogger("ets_client")
_PROBE = "Two steps:\n\n 1 + 1 = 2 ки\n\n\nThe answer is <|im_end|> 2."
_REMEMBERED = 10_000


class Tokenizer(Protocol):
    """Both directions."""

    async def encode(self, text: str, *, add_special_tokens: bool) -> tuple[int, ...]:
        """The ids of a text."""
        ...

    async def decode(self, token_ids: Sequence[int]) -> str:
        """The text of ids, special tokens included."""
        ...


class BatchTokenizer(Protocol):
    """Both directions, many texts at a time."""

    async def encode_each(self, texts: Sequence[str], *, add_special_tokens: bool) -> list[tuple[int, ...]]:
        """The ids of each text."""
        ...

    async def decode_each(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """The text of each row of ids, special tokens included."""
        ...


class ServerTokenizer:
    """The server's ``/tokenize`` and ``/detokenize``."""

    def __init__(self, caller: Caller, timeout: float | None) -> None:
        self._caller = caller
        self._timeout = timeout

    async def encode(self, text: str, *, add_special_tokens: bool) -> tuple[int, ...]:
        """The ids of a text."""
        body = tokenize_body(text, add_special_tokens=add_special_tokens)
        return await self._caller.call(
            lambda: Outgoing("POST", "/tokenize", body), read_tokens, Deadline.after(self._timeout)
        )

    async def encode_chat(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """The ids of a chat in the served model's own format."""
        body = tokenize_chat_body(messages)
        return await self._caller.call(
            lambda: Outgoing("POST", "/tokenize", body), read_tokens, Deadline.after(self._timeout)
        )

    async def decode(self, token_ids: Sequence[int]) -> str:
        """The text of ids, special tokens included."""
        body = detokenize_body(token_ids)
        return await self._caller.call(
            lambda: Outgoing("POST", "/detokenize", body), read_text, Deadline.after(self._timeout)
        )

    async def encode_each(self, texts: Sequence[str], *, add_special_tokens: bool) -> list[tuple[int, ...]]:
        """The ids of each text, in one request."""
        body = tokenize_each_body(texts, add_special_tokens=add_special_tokens)
        return await self._caller.call(
            lambda: Outgoing("POST", "/tokenize", body),
            lambda reply: read_token_lists(reply, len(texts)),
            Deadline.after(self._timeout),
        )

    async def decode_each(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """The text of each row of ids, in one request."""
        body = detokenize_each_body(rows)
        return await self._caller.call(
            lambda: Outgoing("POST", "/detokenize", body),
            lambda reply: read_texts(reply, len(rows)),
            Deadline.after(self._timeout),
        )


class LocalTokenizer:
    """A ``tokenizer.json`` that gave the same ids as the server for a probe with delimiters and special tokens."""

    def __init__(self, tokenizer: HubTokenizer) -> None:
        self._tokenizer = tokenizer

    async def encode(self, text: str, *, add_special_tokens: bool) -> tuple[int, ...]:
        """The ids of a text."""
        return tuple(self._tokenizer.encode(text, add_special_tokens=add_special_tokens).ids)

    async def decode(self, token_ids: Sequence[int]) -> str:
        """The text of ids, special tokens included."""
        return self._tokenizer.decode(list(token_ids), skip_special_tokens=False)

    async def encode_each(self, texts: Sequence[str], *, add_special_tokens: bool) -> list[tuple[int, ...]]:
        """The ids of each text."""
        return [await self.encode(text, add_special_tokens=add_special_tokens) for text in texts]

    async def decode_each(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """The text of each row of ids, special tokens included."""
        return [await self.decode(row) for row in rows]

    @property
    def vocab_size(self) -> int:
        """Entries of the vocabulary, added tokens included; the model's table may have more rows, never fewer."""
        return self._tokenizer.get_vocab_size(with_added_tokens=True)


async def load_local_tokenizer(path: Path) -> LocalTokenizer:
    """Load a ``tokenizer.json``.

    Raises:
        ImportError: the package ``tokenizers`` is not installed.
        Exception: it cannot be read; the package raises nothing narrower, for a file newer than itself too.
    """
    from tokenizers import Tokenizer as HubTokenizer

    return LocalTokenizer(await asyncio.to_thread(HubTokenizer.from_file, str(path)))


async def find_local_tokenizer(tokenizer_path: str, server: ServerTokenizer) -> LocalTokenizer | None:
    """Load the server's tokenizer from this machine's disk, when it is there and agrees with the server.

    Args:
        tokenizer_path: where the server has it from: a folder, or an id that is not looked up.
        server: the judge.

    Returns:
        The tokenizer, or None when the package ``tokenizers`` is not installed, the file is not here or unreadable, or
        it gives other ids than the server (some models' tokenizers change theirs after loading).
    """
    path = Path(tokenizer_path) / "tokenizer.json"
    if not path.is_file():
        return None
    try:
        local = await load_local_tokenizer(path)
    except ImportError:
        return None
    except Exception as error:  # noqa: BLE001 - see there
        _log.warning("%s cannot be read (%s); the server tokenises from now on", path, error)
        return None
    for special in (True, False):
        ours = await local.encode(_PROBE, add_special_tokens=special)
        theirs = await server.encode(_PROBE, add_special_tokens=special)
        if ours != theirs:
            _log.warning("%s gives other ids than the server does; the server tokenises from now on", path)
            return None
    return local


class TokenTexts:
    """The text of single tokens, each asked for once."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._known: dict[int, str] = {}

    async def text(self, token: int) -> str:
        """The text of one token; it may hold replacement characters where a character is cut."""
        if token not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[token] = await self._tokenizer.decode([token])
        return self._known[token]
