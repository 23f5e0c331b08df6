from __future__ import annotations

import re
from pathlib import Path

import pytest

from ets_server.enginespec import EngineSpec, engine_spec, script


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


def test_on_a_gpu_host_sglang_brings_its_dependencies() -> None:
    spec = engine_spec("cuda", "3.12")
    assert spec.requirements == ("sglang==0.5.18",)
    assert spec.pip_passes("/l") == (("--requirement", "/l"),)


def test_every_package_of_the_cpu_lock_is_pinned_and_named_once() -> None:
    lines = engine_spec("cpu", "3.11").requirements
    assert "sglang==0.5.18" in lines
    assert "torch==2.13.0" in lines
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!]+", line) for line in lines)
    assert len({line.partition("==")[0].lower().replace("_", "-") for line in lines}) == len(lines)


@pytest.mark.parametrize("name", ["launch_cpu", "convert_gguf", "make_random", "cpu_support"])
def test_engine_scripts_stand_alone(name: str) -> None:
    text = script(name).read_text(encoding="utf-8")
    assert "ets_server" not in text
    assert "ets_client" not in text
    assert spec_python() == Path("/e") / EngineSpec("cpu", "", "3.11").name / "bin/python"


def spec_python() -> Path:
    return EngineSpec("cpu", "", "3.11").python(Path("/e"))
