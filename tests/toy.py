"""A tokenizer whose every token a test chooses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ets_client._core.profile_probe import Answers, probe_chat, probe_rows, probe_texts
from ets_client.profiles import CompletionPrompt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ets_client import Profile
    from ets_client._core.prompt import Message

FIRST_PIECE = 5000


class Toy:
    """A character is its code point; the pieces, numbered from 5000, come before characters, the longest first."""

    def __init__(
        self, *pieces: str, before: Sequence[str] = (), after: Sequence[str] = (), size: int | None = None
    ) -> None:
        self.ids = {piece: FIRST_PIECE + place for place, piece in enumerate(pieces)}
        self.texts = {token: piece for piece, token in self.ids.items()}
        self.before = tuple(self.ids[piece] for piece in before)
        self.after = tuple(self.ids[piece] for piece in after)
        self.size = size

    def encode(self, text: str, *, add_special_tokens: bool = False) -> tuple[int, ...]:
        found: list[int] = []
        while text:
            piece = max((piece for piece in self.ids if text.startswith(piece)), key=len, default=text[0])
            found.append(self.ids.get(piece, ord(piece[0])))
            text = text[len(piece) :]
        return (*self.before, *found, *self.after) if add_special_tokens else tuple(found)

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.texts.get(token) or chr(token) for token in ids)

    async def encode_each(self, texts: Sequence[str], *, add_special_tokens: bool) -> list[tuple[int, ...]]:
        return [self.encode(text, add_special_tokens=add_special_tokens) for text in texts]

    async def decode_each(self, rows: Sequence[Sequence[int]]) -> list[str]:
        return [self.decode(row) for row in rows]

    def answers(self, profile: Profile, template: Callable[[list[Message]], str] | None = None) -> Answers:
        """What it says to the questions of a profile's check; ``template`` is the server's chat template."""
        texts, special_texts = probe_texts(profile)
        plain = {text: self.encode(text) for text in texts}
        special = {text: self.encode(text, add_special_tokens=True) for text in special_texts}
        chat = None
        if template is not None and not isinstance(profile.prompt, CompletionPrompt):
            chat = self.encode(template(probe_chat(profile.prompt)))
        rows = probe_rows(profile, plain, *special.values(), chat or ())
        return Answers(plain, special, {row: self.decode(row) for row in rows}, chat, "no template", self.size)
