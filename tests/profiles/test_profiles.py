from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from ets_client import ConfigurationError, Profile, SamplingParams, list_profiles, load_profile
from ets_client.profiles import Answer, ChatPrompt, CompletionPrompt, Steps

if TYPE_CHECKING:
    from pathlib import Path

SHIPPED = ["llama3", "llemma", "mistral", "smollm2", "tiny"]
OWN = """\
name: mine
prompt: {kind: completion, template: "Q: {question}\\nA:"}
steps: {delimiters: ["\\n"]}
"""


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "ets-client" / "profiles"
    folder.mkdir(parents=True)
    return folder


def test_the_shipped_profiles_are_listed_by_name(own_folder: Path) -> None:
    assert [profile.name for profile in list_profiles()] == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_profile_is_complete(own_folder: Path, name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert profile.summary
    assert profile.model is not None
    assert profile.model.vocab_size
    assert profile.answer is not None
    assert re.compile(profile.answer.pattern).groups >= 1
    assert profile.steps.max_step_tokens <= profile.steps.max_path_tokens


@pytest.mark.parametrize(
    ("name", "text", "answer"),
    [
        ("llama3", r"Therefore, the final answer is: $\boxed{\frac{1}{2}}$.", r"\frac{1}{2}"),
        ("llemma", "The answer is: 12 ки", "12"),
        ("mistral", "The answer is 12 ки", "12"),
        ("smollm2", "so the answer is $1,200.", "1,200"),
        ("tiny", "The answer is -3", "-3"),
    ],
)
def test_a_shipped_pattern_finds_its_models_answer(own_folder: Path, name: str, text: str, answer: str) -> None:
    profile = load_profile(name)
    assert profile.answer is not None
    assert re.findall(profile.answer.pattern, text) == [answer]


def test_an_own_profile_is_found_by_name_and_by_path(own_folder: Path) -> None:
    (own_folder / "mine.yaml").write_text(OWN)
    assert load_profile("mine") == load_profile(own_folder / "mine.yaml") == load_profile(str(own_folder / "mine.yaml"))
    assert "mine" in [profile.name for profile in list_profiles()]


def test_an_own_profile_wins_over_a_shipped_one(own_folder: Path) -> None:
    (own_folder / "tiny.yaml").write_text(OWN.replace("name: mine", "name: tiny\nsummary: my own"))
    assert load_profile("tiny").summary == "my own"


def test_an_own_profile_is_named_as_its_file_is(own_folder: Path) -> None:
    (own_folder / "tiny.yml").write_text(OWN)
    with pytest.raises(ConfigurationError, match=r"tiny\.yml: its name is 'mine'; it must be 'tiny'"):
        load_profile("tiny")


def test_a_profile_that_cannot_be_read_is_left_out_of_the_list(own_folder: Path) -> None:
    (own_folder / "mine.yaml").write_bytes(b"\xff\xfe")
    assert "mine" not in [profile.name for profile in list_profiles()]


def test_an_unknown_name_lists_the_known_ones(own_folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="llama3, llemma"):
        load_profile("lama3")


def test_a_missing_file_is_named(own_folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no profile file .*none\.yaml"):
        load_profile(own_folder / "none.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: [", "is not YAML"),
        (OWN.replace('["\\n"]', r"[\n\n]"), r'\\n\\n is backslashes.*double quotes, "\\n\\n"'),
        ("", "the whole"),
        (OWN + "colour: red", "colour"),
        (OWN.replace("{question}", "?"), "exactly once"),
        (OWN + 'answer: {pattern: "("}', "not a regular expression"),
        (OWN + 'answer: {pattern: "x"}', "a group around the answer"),
        (OWN + "sampling: {temperature: -1}", r"sampling\.temperature"),
        (OWN.replace('["\\n"]', "[]"), r"steps\.delimiters"),
        (OWN.replace('["\\n"]', str(["x"] * 33)), r"steps\.delimiters"),
        (OWN.replace("completion", "poem"), "prompt"),
        ("name: x", r"and 1 more"),
    ],
)
def test_a_profile_that_cannot_be_used_says_where_and_why(own_folder: Path, text: str, words: str) -> None:
    path = own_folder / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=words):
        load_profile(path)


def test_defaults_need_only_a_prompt_and_delimiters(own_folder: Path) -> None:
    (own_folder / "mine.yaml").write_text(OWN)
    profile = load_profile("mine")
    assert (profile.model, profile.answer, profile.reward) == (None, None, None)
    assert profile.sampling == SamplingParams()


def test_a_profile_does_not_change() -> None:
    profile: Any = Profile(name="p", prompt=CompletionPrompt(), steps=Steps(delimiters=("x",)))
    with pytest.raises(ValidationError, match="frozen"):
        profile.name = "q"


def test_a_profile_written_out_is_read_back(own_folder: Path) -> None:
    for profile in list_profiles():
        assert Profile.model_validate_json(profile.model_dump_json()) == profile


def test_the_chat_profiles_leave_the_assistants_turn_open(own_folder: Path) -> None:
    for name in ("llama3", "smollm2"):
        prompt = load_profile(name).prompt
        assert isinstance(prompt, ChatPrompt)
        assert prompt.assistant.before


def test_an_answer_needs_a_group() -> None:
    assert Answer(pattern="(x)").pattern == "(x)"
    with pytest.raises(ValidationError, match="group"):
        Answer(pattern="x")
