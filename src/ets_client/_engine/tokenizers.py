"""Text to ids and back: on this machine when the server's tokenizer is at hand, else by the server."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from .._together import together
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
from ..errors import UnsupportedError
from .deadline import Deadline
from .outgoing import Outgoing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenizers import Tokenizer as HubTokenizer

    from .._core.prompt import Message
    from .caller import Caller

__all__ = [
    "BatchTokenizer",
    "LocalTokenizer",
    "Remote",
    "RouterTokenizer",
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

    async def encode_each(self, texts: Sequence[str], *, add_special_tokens: bool) -> list[tuple[int, ...]]:
        """The ids of each text."""
        ...

    async def decode(self, token_ids: Sequence[int]) -> str:
        """The text of ids, special tokens included."""
        ...


class Remote(Tokenizer, Protocol):
    """What answers tokenises.

    Attributes:
        adds_special_tokens: the values of that argument that it can serve; none when it has no tokenizer.
    """

    adds_special_tokens: tuple[bool, ...]

    async def encode_chat(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """The ids of a chat in the served model's own format."""
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

    adds_special_tokens: tuple[bool, ...] = (True, False)

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
            lambda: Outgoing("POST", "/detokenize", body, lane="text"), read_text, Deadline.after(self._timeout)
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
            lambda: Outgoing("POST", "/detokenize", body, lane="text"),
            lambda reply: read_texts(reply, len(rows)),
            Deadline.after(self._timeout),
        )


class RouterTokenizer:
    """The ``/v1/tokenize`` and ``/v1/detokenize`` of SGLang's router, which never add special tokens, asked or not."""

    def __init__(self, caller: Caller, timeout: float | None, model: str | None) -> None:
        """Make it.

        Args:
            caller: how to ask.
            timeout: seconds for each question.
            model: the router's name of the tokenizer, or None when it has none of the served model.
        """
        self._caller = caller
        self._timeout = timeout
        self._model = model
        self.adds_special_tokens: tuple[bool, ...] = () if model is None else (False,)

    async def encode(self, text: str, *, add_special_tokens: bool) -> tuple[int, ...]:
        """The ids of a text."""
        if add_special_tokens:
            raise UnsupportedError(
                "tokenising with the tokenizer's own special tokens",
                "SGLang's router leaves them out; write them into the text of a profile with add_special_tokens off, "
                "or put the model's folder on this machine and install ets-client[tokenizers]",
            )
        body = tokenize_body(text, add_special_tokens=False, model=self._known("tokenize()"))
        return await self._caller.call(
            lambda: Outgoing("POST", "/v1/tokenize", body), read_tokens, Deadline.after(self._timeout)
        )

    async def encode_each(self, texts: Sequence[str], *, add_special_tokens: bool) -> list[tuple[int, ...]]:
        """The ids of each text, in a request each: the routers take one text at a time."""
        return await together(self.encode(text, add_special_tokens=add_special_tokens) for text in texts)

    async def encode_chat(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """Not possible: the routers' tokenizers take text alone."""
        raise UnsupportedError(
            f"a chat in the served model's own format ({len(messages)} messages)",
            "SGLang's router takes text alone; give the client a profile whose prompt says how a chat is written",
        )

    async def decode(self, token_ids: Sequence[int]) -> str:
        """The text of ids, special tokens included."""
        body = detokenize_body(token_ids, model=self._known("detokenize()"))
        return await self._caller.call(
            lambda: Outgoing("POST", "/v1/detokenize", body, lane="text"), read_text, Deadline.after(self._timeout)
        )

    def _known(self, feature: str) -> str:
        if self._model is None:
            raise UnsupportedError(feature, "the router has no tokenizer of the served model")
        return self._model


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
        if len(texts) == 1:
            return [await self.encode(texts[0], add_special_tokens=add_special_tokens)]
        # Off the loop, which goes on meanwhile: a batch lets go of the interpreter, one text does not. Of a batch of
        # eight steps the loop has 5 µs a text to do instead of 113.
        found = await asyncio.to_thread(
            self._tokenizer.encode_batch_fast, list(texts), add_special_tokens=add_special_tokens
        )
        return [tuple(each.ids) for each in found]

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


async def find_local_tokenizer(tokenizer_path: str, server: Remote) -> LocalTokenizer | None:
    """Load the server's tokenizer from this machine's disk, when it is there and agrees with the server.

    Args:
        tokenizer_path: where the server has it from: a folder, or an id that is not looked up.
        server: the judge; a router without a tokenizer cannot judge, and the file is believed.

    Returns:
        The tokenizer, or None when the package ``tokenizers`` is not installed, the file is not here or unreadable, or
        it gives other ids than the server (some models' tokenizers change theirs after loading).
    """
    path = Path(tokenizer_path) / "tokenizer.json"
    if not await asyncio.to_thread(path.is_file):  # on a network's disk it may take a while
        return None
    try:
        local = await load_local_tokenizer(path)
    except ImportError:
        return None
    except Exception as error:  # noqa: BLE001 - see there
        _log.warning("%s cannot be read (%s); the server tokenises from now on", path, error)
        return None
    if not server.adds_special_tokens:
        _log.warning("%s is believed to be the server's: there is no other tokenizer to compare it with", path)
    for special in server.adds_special_tokens:
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

    def known(self, token: int) -> str | None:
        """The text of a token that was asked for before, or None."""
        return self._known.get(token)

    async def text(self, token: int) -> str:
        """The text of one token; it may hold replacement characters where a character is cut."""
        if token not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[token] = await self._tokenizer.decode([token])
        return self._known[token]
