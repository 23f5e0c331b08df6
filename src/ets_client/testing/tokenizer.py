"""Text to ids and back: a small byte-level tokenizer of our own, or a ``tokenizer.json``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

__all__ = ["ByteTokenizer", "HubTokenizer", "Tokenizer"]

_SPECIAL = ("<unk>", "</s>", "<|im_start|>", "<|im_end|>")
_WORDS = """
the of and to in is that it for was on are as with be at by this have from or one had not but what all were when we
there can an your which their said if do will each about how up out them then she many some so these would other into
has more her two like him see time could no make than first been its who now people my made over did down only way
find use may water long little very after words called just where most know get through back much before go good new
write our used me man too any day same right look think also around another came come work three word must because
does part even place well such here take why things help put years different away again off went old number great tell
men say small every found still between name should home big give air line set own under read last never us left end
along while might next sound below saw something thought both few those always looked show large often together asked
house world going want school important until form food keep children feet land side without boy once animals life
enough took four head above kind began almost live page got earth need far hand high year mother light parts country
father let night following picture being study second eyes soon times story boys since white days ever paper hard near
sentence better best across during today others however sure means knew try told young miles sun ways thing whole hear
example heard several change answer room sea against top turned learn point city play toward five using himself
usually step equals sum product total therefore solve check value result add subtract multiply divide plus minus half
twice remaining thus Step Answer The So Let Then First Next Finally Therefore We It This There Now Since If And But In
He She They
"""
_PIECES = (
    "\n\n",
    ".\n\n",
    ".\n",
    ". ",
    ", ",
    ": ",
    "? ",
    " = ",
    " + ",
    " - ",
    " * ",
    "  ",
    "    ",
    "ing",
    "ed",
    "er",
    "ly",
    "tion",
)


class Tokenizer(Protocol):
    """What the fake server needs of a tokenizer."""

    @property
    def vocab_size(self) -> int:
        """Ids are below it."""
        ...

    @property
    def eos_token_id(self) -> int:
        """The id that ends a text."""
        ...

    @property
    def special_ids(self) -> frozenset[int]:
        """Ids that ``skip_special_tokens`` hides."""
        ...

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """The ids of a text."""
        ...

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """The text of ids."""
        ...


class ByteTokenizer:
    """Every byte has an id, and so have common words, numbers and line ends; decoding is exact.

    Four special tokens come first (``</s>``, id 1, ends a text), then the 256 bytes, then pieces of several characters.
    The default size is that of the profile ``tiny``. Nothing is added to a text, whatever ``add_special_tokens`` says.
    """

    def __init__(self, vocab_size: int = 2048) -> None:
        """Make it.

        Args:
            vocab_size: number of ids, at least 260.
        """
        if vocab_size < len(_SPECIAL) + 256:
            raise ValueError(f"vocab_size = {vocab_size}: at least {len(_SPECIAL) + 256}, one for each byte")
        pieces: dict[str, None] = dict.fromkeys(_PIECES)
        for word in _WORDS.split():
            pieces[f" {word}"] = None
            if len(word) > 1:
                pieces[word] = None
        for number in range(10, vocab_size):
            pieces[f" {number}"] = None
        wanted = list(pieces)[: vocab_size - len(_SPECIAL) - 256]
        table = [text.encode() for text in _SPECIAL] + [bytes([byte]) for byte in range(256)]
        self._table = table + [text.encode() for text in wanted]
        self._ids = {text: place for place, text in enumerate(self._table)}
        lengths: dict[int, set[int]] = {}
        for piece in self._table:
            lengths.setdefault(piece[0], set()).add(len(piece))
        self._lengths = {first: sorted(found, reverse=True) for first, found in lengths.items()}

    @property
    def vocab_size(self) -> int:
        """Ids are below it."""
        return len(self._table)

    @property
    def eos_token_id(self) -> int:
        """The id of ``</s>``."""
        return 1

    @property
    def special_ids(self) -> frozenset[int]:
        """The ids of the four special tokens."""
        return frozenset(range(len(_SPECIAL)))

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:  # noqa: ARG002 - it has none to add
        """The ids of a text, the longest piece first."""
        ids, lengths, data, found, at = self._ids, self._lengths, text.encode(), list[int](), 0
        while at < len(data):
            for length in lengths[data[at]]:
                token = ids.get(data[at : at + length])
                if token is not None:
                    found.append(token)
                    at += length
                    break
        return found

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """The text of ids. Half a character is a replacement character; an id that does not exist is nothing."""
        table, least = self._table, len(_SPECIAL) if skip_special_tokens else 0
        return b"".join([table[token] for token in ids if least <= token < len(table)]).decode("utf-8", "replace")

    def __repr__(self) -> str:
        return f"ByteTokenizer({self.vocab_size})"


class HubTokenizer:
    """A ``tokenizer.json``, through the package ``tokenizers``."""

    def __init__(self, path: str | os.PathLike[str], *, eos_token: str, vocab_size: int | None = None) -> None:
        """Load it.

        Args:
            path: the file.
            eos_token: the token that ends a text, such as ``</s>``.
            vocab_size: rows of the model's table, when it has more than the tokenizer has entries.
        """
        from tokenizers import Tokenizer as Loaded

        self._tokenizer = Loaded.from_file(str(path))
        eos = self._tokenizer.token_to_id(eos_token)
        if eos is None:
            raise ValueError(f"eos_token = {eos_token!r}: {path} has no such token")
        self._eos = eos
        self._vocab_size = vocab_size or self._tokenizer.get_vocab_size(with_added_tokens=True)
        added = self._tokenizer.get_added_tokens_decoder()
        self._special = frozenset(token for token, entry in added.items() if entry.special)

    @property
    def vocab_size(self) -> int:
        """Ids are below it."""
        return self._vocab_size

    @property
    def eos_token_id(self) -> int:
        """The id that ends a text."""
        return self._eos

    @property
    def special_ids(self) -> frozenset[int]:
        """Ids that ``skip_special_tokens`` hides."""
        return self._special

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """The ids of a text."""
        return list(self._tokenizer.encode(text, add_special_tokens=add_special_tokens).ids)

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """The text of ids."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=skip_special_tokens)
