from __future__ import annotations

import asyncio
import builtins
import json
from typing import TYPE_CHECKING, Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from ets_client import RequestRejectedError
from ets_client._engine.tokenizers import ServerTokenizer, TokenTexts, find_local_tokenizer, load_local_tokenizer
from tests.fakes import Rig, reply

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ets_client._transport.base import HttpReply, HttpRequest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a byte-level tokenizer."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({symbol: place for place, symbol in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.add_special_tokens(["<|im_end|>"])
    made.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def server(*script: Any) -> tuple[ServerTokenizer, Rig]:
    rig = Rig(*script)
    return ServerTokenizer(rig.caller, 60), rig


async def test_the_server_tokenises_and_detokenises() -> None:
    tokenizer, rig = server(reply({"tokens": [1, 2]}), reply({"text": "ab"}), reply({"tokens": [3]}))
    assert await tokenizer.encode("ab", add_special_tokens=False) == (1, 2)
    assert await tokenizer.decode((1, 2)) == "ab"
    assert await tokenizer.encode_chat([{"role": "user", "content": "x"}]) == (3,)
    assert [request.url.rpartition("/")[2] for request in rig.transport.requests] == [
        "tokenize",
        "detokenize",
        "tokenize",
    ]


async def test_a_server_that_refuses_to_tokenise_is_an_error() -> None:
    tokenizer, _ = server(reply({"error": "skip_tokenizer_init"}, 400))
    with pytest.raises(RequestRejectedError, match="skip_tokenizer_init"):
        await tokenizer.encode("ab", add_special_tokens=True)


async def test_a_tokenizer_on_disk_that_agrees_with_the_server_is_used(folder: Path) -> None:
    theirs = Tokenizer.from_file(str(folder / "tokenizer.json"))

    async def honest(request: HttpRequest) -> HttpReply:
        asked = json.loads(request.body)
        return reply({"tokens": theirs.encode(asked["prompt"], add_special_tokens=asked["add_special_tokens"]).ids})

    tokenizer, rig = server(honest, honest)
    local = await find_local_tokenizer(str(folder), tokenizer)
    assert local is not None
    assert len(rig.transport.requests) == 2
    ids = await local.encode("two\n\n<|im_end|>", add_special_tokens=False)
    assert ids[-1] == 256
    assert (await local.decode(ids)).endswith("<|im_end|>")
    assert local.vocab_size == 257


@pytest.mark.parametrize("special", [True, False])
async def test_many_texts_have_the_ids_of_each_alone_and_the_loop_goes_on_meanwhile(
    folder: Path, special: bool
) -> None:
    local = await load_local_tokenizer(folder / "tokenizer.json")
    texts = ["one", "", "two\n\n<|im_end|>", "ки" * 500]
    alone = [await local.encode(text, add_special_tokens=special) for text in texts]
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    await asyncio.sleep(0)
    before = turns
    assert await local.encode_each(texts, add_special_tokens=special) == alone
    assert turns > before
    assert await local.encode_each(texts[:1], add_special_tokens=special) == alone[:1]
    assert await local.encode_each([], add_special_tokens=special) == []
    turning.cancel()


async def test_a_tokenizer_that_disagrees_is_left_and_that_is_said(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokenizer, _ = server(reply({"tokens": [1]}))
    assert await find_local_tokenizer(str(folder), tokenizer) is None
    assert "gives other ids than the server does" in caplog.text


@pytest.mark.parametrize("text", ["", "{}", '{"model": {"type": "of next year"}}'])
async def test_a_file_that_cannot_be_read_is_left_and_that_is_said(
    folder: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    (folder / "tokenizer.json").write_text(text)
    tokenizer, rig = server()
    assert await find_local_tokenizer(str(folder), tokenizer) is None
    assert "cannot be read" in caplog.text
    assert rig.transport.requests == []


@pytest.mark.parametrize("path", ["owner/name", "/nowhere", "a\x00b"])
async def test_a_model_that_is_not_on_this_machine_is_tokenised_by_the_server(path: str) -> None:
    tokenizer, rig = server()
    assert await find_local_tokenizer(path, tokenizer) is None
    assert rig.transport.requests == []


async def test_without_the_package_the_server_tokenises(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "tokenizers":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    tokenizer, rig = server()
    assert await find_local_tokenizer(str(folder), tokenizer) is None
    assert rig.transport.requests == []


class Counting:
    """A tokenizer that counts what it decodes."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    async def encode(self, text: str, *, add_special_tokens: bool) -> tuple[int, ...]:
        raise NotImplementedError

    async def encode_each(self, texts: Sequence[str], *, add_special_tokens: bool) -> list[tuple[int, ...]]:
        raise NotImplementedError

    async def decode(self, token_ids: Sequence[int]) -> str:
        self.asked += token_ids
        return str(token_ids[0])


async def test_the_text_of_a_token_is_asked_for_once() -> None:
    counting = Counting()
    texts = TokenTexts(counting)
    assert [await texts.text(token) for token in (5, 6, 5, 5)] == ["5", "6", "5", "5"]
    assert counting.asked == [5, 6]


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ets_client._engine.tokenizers._REMEMBERED", 2)
    counting = Counting()
    texts = TokenTexts(counting)
    for token in (1, 2, 3, 3, 1):
        await texts.text(token)
    assert counting.asked == [1, 2, 3, 1]
