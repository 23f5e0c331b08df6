from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from ets_client import ConfigurationError, check_tokenizer, load_profile

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a byte-level tokenizer that knows ChatML."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({symbol: place for place, symbol in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken("<|im_start|>", special=True), AddedToken("<|im_end|>", special=True)])
    made.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


async def test_a_folder_or_its_file_is_checked(folder: Path) -> None:
    for path in (folder, folder / "tokenizer.json", str(folder)):
        report = await check_tokenizer(path, "smollm2")
        assert report.errors == ()
        assert report.tokenizer == str(folder / "tokenizer.json")
    assert (await check_tokenizer(folder, load_profile("llama3"))).errors


async def test_its_size_is_compared_with_the_profiles(folder: Path) -> None:
    report = await check_tokenizer(folder, "smollm2")
    assert "this tokenizer has 258: perhaps" in report.warnings[0].message


async def test_a_missing_file_is_an_error_that_names_it(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no tokenizer at .*none: give a tokenizer\.json"):
        await check_tokenizer(folder / "none", "smollm2")


async def test_a_file_that_is_none_is_an_error(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        await check_tokenizer(folder, "smollm2")


async def test_without_the_package_it_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "tokenizers":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigurationError, match=r"pip install 'ets-client\[tokenizers\]'"):
        await check_tokenizer(folder, "smollm2")
