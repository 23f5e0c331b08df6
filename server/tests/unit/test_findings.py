from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ets_server.findings import Engine, Inspection, Model, findings_of

from .machines import gpu

GOOD = Inspection(
    gpus=(gpu(0),),
    problems=(),
    port=30000,
    engine=Engine("cuda", "own", installed=True, python=(3, 12, 3), torch="2.13.0", sglang="0.5.18", cuda_works=True),
    model=Model("owner/name", "here", gated=False, has_token=False),
    open_files=(1024, 1048576),
    cache_dir="/cache",
    cache_free_gib=500.0,
)


def lines(facts: Inspection) -> str:
    return "\n".join(map(str, findings_of(facts)))


def test_all_is_well() -> None:
    assert {finding.level for finding in findings_of(GOOD)} == {"ok"}
    assert "GPU 0 NVIDIA H100: 81000 of 81559 MiB free" in lines(GOOD)
    assert lines(GOOD).count("\n") == len(findings_of(GOOD)) - 1


@pytest.mark.parametrize(
    ("change", "level", "said"),
    [
        ({"problems": ("port 1 is taken",)}, "fail", "port 1 is taken"),
        ({"gpus": (gpu(0, busy=True),)}, "warn", "held by pid 4242 of mallory"),
        ({"open_files": (1024, 4096)}, "warn", "LimitNOFILE=65536"),
        ({"cache_free_gib": 0.5}, "fail", "XDG_CACHE_HOME"),
        ({"engine": Engine("cuda", "own", installed=False)}, "warn", "first start installs it"),
        ({"engine": Engine("cpu", "own", installed=False), "cache_free_gib": 3.0}, "fail", "6 GiB are needed"),
        ({"engine": Engine("cuda", "python", True, (3, 9, 1), "2", "0.5", True)}, "fail", "3.9.1 is outside"),
        ({"engine": Engine("cuda", "python", True, (3, 12, 1), None, "0.5", None)}, "fail", "has no torch"),
        ({"engine": Engine("cuda", "python", True, (3, 12, 1), "2", None, None)}, "fail", "has no sglang"),
        ({"engine": Engine("cuda", "python", True, (3, 12, 1), "2", "0.5", False)}, "fail", "torch sees no GPU"),
        ({"engine": Engine("cuda", "python", True, error="cannot ask /p: boom")}, "fail", "boom"),
        ({"model": Model("o/n", "on the hub", gated=True, has_token=False)}, "fail", "set HF_TOKEN"),
        ({"model": Model("o/n", "on the hub", gated=True, has_token=True)}, "warn", "`ets-server fetch o/n`"),
    ],
)
def test_what_is_not_well_is_said_with_its_mend(change: dict[str, Any], level: str, said: str) -> None:
    found = [finding for finding in findings_of(dataclasses.replace(GOOD, **change)) if said in finding.text]
    assert [finding.level for finding in found] == [level]


def test_a_machine_without_a_gpu_serves_on_the_cpu() -> None:
    facts = dataclasses.replace(
        GOOD,
        gpus=(),
        engine=Engine("cpu", "own", True, (3, 11, 7), "2.13.0", "0.5.18", None),
        model=Model("/cache/m", "to make", gated=False, has_token=True),
    )
    assert "the CPU engine serves" in lines(facts)
    assert "will be made at the first start" in lines(facts)
    assert {finding.level for finding in findings_of(facts)} == {"ok"}


def test_a_launchers_engine_cannot_be_seen() -> None:
    assert "yours, started by --launcher" in lines(dataclasses.replace(GOOD, engine=Engine("cuda", "launcher", None)))
