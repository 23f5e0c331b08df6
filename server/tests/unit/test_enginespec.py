from __future__ import annotations

import re
from pathlib import Path

import pytest

from ets_server.engines import expected_engine
from ets_server.enginespec import DEFAULT_SGLANG, SGLANG_VERSIONS, EngineKind, EngineSpec, engine_spec, script
from ets_server.errors import ServerToolError


def test_another_lock_or_python_is_another_environment() -> None:
    first = EngineSpec("cpu", "torch==1\n", "3.11")
    assert first.name.startswith("sglang-cpu-py3.11-")
    assert first.name == EngineSpec("cpu", "torch==1\n", "3.11").name
    assert (
        len({first.name, EngineSpec("cpu", "torch==2\n", "3.11").name, EngineSpec("cpu", "torch==1\n", "3.12").name})
        == 3
    )


def test_on_a_cpu_torch_goes_first_and_the_rest_without_dependencies() -> None:
    spec = EngineSpec("cpu", "# note\nnumpy==2\ntorch==1  # why\n", "3.11")
    assert spec.requirements == ("numpy==2", "torch==1")
    assert spec.pip_passes("/l") == (("--constraint", "/l", "torch==1"), ("--no-deps", "--requirement", "/l"))


@pytest.mark.parametrize("version", SGLANG_VERSIONS)
def test_on_a_gpu_host_sglang_brings_its_dependencies(version: str) -> None:
    spec = engine_spec("cuda", "3.12", version)
    assert spec.requirements == (f"sglang=={version}",)
    assert spec.pip_passes("/l") == (("--requirement", "/l"),)


@pytest.mark.parametrize("version", SGLANG_VERSIONS)
def test_every_package_of_a_cpu_lock_is_pinned_and_named_once(version: str) -> None:
    lines = engine_spec("cpu", "3.11", version).requirements
    assert f"sglang=={version}" in lines
    assert "torch==2.13.0" in lines
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!]+", line) for line in lines)
    assert len({line.partition("==")[0].lower().replace("_", "-") for line in lines}) == len(lines)


def packages(version: str) -> set[str]:
    return {line.partition("==")[0] for line in engine_spec("cpu", "3.11", version).requirements}


def test_the_cpu_locks_hold_the_same_packages() -> None:
    assert packages("0.5.18") == packages("0.5.23")


def test_each_version_and_kind_has_a_lock_and_each_lock_a_version() -> None:
    kinds: tuple[EngineKind, ...] = ("cpu", "cuda")
    locks = {file.name for file in (script("x").parents[1] / "locks").iterdir()}
    assert locks == {f"{kind}-{version}.txt" for kind in kinds for version in SGLANG_VERSIONS}
    assert len({engine_spec(kind, "3.11", version).name for kind in kinds for version in SGLANG_VERSIONS}) == len(locks)


def test_the_default_is_taken_when_none_is_chosen() -> None:
    assert expected_engine("cpu") == expected_engine("cpu", None) == expected_engine("cpu", DEFAULT_SGLANG)
    assert "sglang==0.5.23" in expected_engine("cpu", "0.5.23").requirements


@pytest.mark.parametrize("version", ["0.5.19", "../cpu-0.5.18", "latest"])
def test_another_version_is_refused_with_those_that_are_known(version: str) -> None:
    with pytest.raises(ServerToolError, match=r"0\.5\.18, 0\.5\.23") as refused:
        expected_engine("cpu", version)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["launch_cpu", "convert_gguf", "make_random", "cpu_support"])
def test_engine_scripts_stand_alone(name: str) -> None:
    text = script(name).read_text(encoding="utf-8")
    assert "ets_server" not in text
    assert "ets_client" not in text
    assert spec_python() == Path("/e") / EngineSpec("cpu", "", "3.11").name / "bin/python"


def spec_python() -> Path:
    return EngineSpec("cpu", "", "3.11").python(Path("/e"))
