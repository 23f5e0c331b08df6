"""`ets-client check`, as a user types it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from typer.testing import CliRunner

from ets_client import Finding, ProfileReport, Severity
from ets_client.cli.app import app
from ets_client.testing import ByteTokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from ets_client.pytest_plugin import FakeServerFactory

NOBODY = "http://127.0.0.1:9"  # the discard port: nothing listens there


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner(env={"COLUMNS": "120"}).invoke(app, ["check", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_a_profile_that_fits_is_shown_with_what_the_server_is(fake_sglang_factory: FakeServerFactory) -> None:
    server = fake_sglang_factory()
    status, out, err = run(server.base_url, "--profile", "tiny")
    assert (status, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert ["SGLang", "0.5.18"] in lines
    assert ["page", "1", "token"] in lines
    assert any(line[:3] == ["ok", "delimiter", "'\\n\\n'"] for line in lines)
    assert "0 errors, 0 warnings" in out
    assert server.count("/generate") == 0


def test_a_profile_that_does_not_fit_is_shown_whole_and_exits_with_1(fake_sglang_factory: FakeServerFactory) -> None:
    status, out, _ = run(fake_sglang_factory().base_url, "--profile", "llama3")
    assert status == 1
    assert "error marker <|eot_id|>" in out
    assert "64 '<', 128 '|', 105 'e', 115 'o', 120 't'" in out
    assert "ok    vocabulary" in out


def test_json_has_the_same(fake_sglang_factory: FakeServerFactory) -> None:
    status, out, _ = run(fake_sglang_factory().base_url, "--profile", "llama3", "--json")
    told = json.loads(out)
    assert status == 1
    assert told["server"]["version"] == "0.5.18"
    assert told["profile"] == "llama3"
    assert told["errors"] == len([each for each in told["findings"] if each["severity"] == "error"]) > 0
    label = next(each for each in told["findings"] if each["subject"] == "label '+'")
    plus = ByteTokenizer().encode("+")
    assert label["evidence"][0] == {"text": "+", "token_ids": plus, "pieces": ["+"]}


def test_without_a_profile_the_derived_one_is_checked(fake_sglang_factory: FakeServerFactory) -> None:
    status, out, _ = run(fake_sglang_factory().base_url)
    assert status == 0
    assert "Profile generic" in out


def test_a_tokenizer_file_needs_no_server(tmp_path: Path) -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({symbol: place for place, symbol in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.save(str(tmp_path / "tokenizer.json"))
    status, out, _ = run("--tokenizer", str(tmp_path), "--profile", "tiny", "--json")
    assert (status, json.loads(out)["server"]) == (0, None)
    assert run("--tokenizer", str(tmp_path), "--profile", "smollm2")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((NOBODY,), "error: "),
        (("--tokenizer", "/nowhere", "--profile", "tiny"), "error: there is no tokenizer at /nowhere"),
        (("--endpoint", "nowhere.json"), "error: no endpoint file at nowhere.json"),
        ((NOBODY, "--profile", "nobody"), "error: there is no profile 'nobody'"),
    ],
)
def test_what_cannot_be_checked_is_one_line(arguments: tuple[str, ...], said: str) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (1, "")
    assert err.startswith(said)
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [(NOBODY, "--tokenizer", "x", "--profile", "tiny"), (NOBODY, "--endpoint", "x"), ("--tokenizer", "x")]
)
def test_a_bad_option_is_a_usage_error(arguments: tuple[str, ...]) -> None:
    assert run(*arguments)[0] == 2


def test_a_report_is_printed_a_finding_a_line() -> None:
    finding = Finding("vocabulary", Severity.ERROR, "too small")
    assert str(ProfileReport("p", "tok", (finding,))) == (
        "profile 'p' on the tokenizer tok:\n  error: vocabulary: too small"
    )


@pytest.mark.live
def test_a_real_server_and_its_profile_fit(live_endpoint: Path) -> None:
    status, out, err = run("--endpoint", str(live_endpoint))
    assert (status, err) == (0, "")
    assert "Profile tiny" in out
    assert "0 errors, 0 warnings" in out
