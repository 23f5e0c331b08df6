from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ets_client.profiles import load_profile

from ets_server.errors import ServerToolError
from ets_server.gpus import GpuChoice
from ets_server.options import LaunchOptions
from ets_server.plan import LaunchPlan, make_plan
from ets_server.sources import choose_model

from .machines import CPU_MACHINE, gpu, gpu_machine

if TYPE_CHECKING:
    from ets_server.machine import Machine

KEY = "sk-very-secret"


def plan(
    machine: Machine = CPU_MACHINE,
    *,
    profile: str = "tiny",
    flags: dict[str, Any] | None = None,
    key: str | None = None,
    random_seed: int | None = None,
    **options: Any,
) -> LaunchPlan:
    chosen = LaunchOptions(**options)
    loaded = load_profile(profile)
    if flags is not None:
        loaded = loaded.model_copy(update={"serving": loaded.serving.model_copy(update={"flags": flags})})
    choice = GpuChoice((gpu(3), gpu(1)), 2, 1) if machine.gpus else None
    return make_plan(
        chosen,
        machine=machine,
        profile=loaded,
        profile_label=profile,
        model=choose_model(chosen, loaded, Path("/cache/models")),
        model_is_local=profile == "tiny",
        gpus=choice,
        python=Path("/engine/bin/python"),
        port=31000,
        api_key=key,
        config_file=Path("/state/sglang.yaml"),
        random_seed=random_seed,
    )


def value(argv: tuple[str, ...], flag: str) -> str:
    assert argv.count(flag) == 1
    return argv[argv.index(flag) + 1]


def test_cpu_command_line() -> None:
    made = plan()
    assert made.argv[0] == "/engine/bin/python"
    assert made.argv[1].endswith("engine_scripts/launch_cpu.py")
    assert value(made.argv, "--port") == "31000"
    assert value(made.argv, "--host") == "127.0.0.1"
    assert value(made.argv, "--device") == "cpu"
    assert value(made.argv, "--schedule-policy") == "lpm"
    assert value(made.argv, "--grammar-backend") == "xgrammar"
    assert value(made.argv, "--dtype") == "float32"
    assert value(made.argv, "--context-length") == "2048"
    assert value(made.argv, "--max-running-requests") == "64"
    assert {"--enable-metrics", "--enable-cache-report"} <= set(made.argv)
    assert "--tp-size" not in made.argv
    assert (made.engine, made.generates, made.config, made.gpu_uuids) == ("cpu", True, None, ())


def test_cpu_environment() -> None:
    made = plan()
    assert made.environment["OMP_NUM_THREADS"] == "3"
    assert made.environment["SGLANG_TIMEOUT_KEEP_ALIVE"] == "60"
    assert made.environment["SGLANG_USE_CPU_ENGINE"] == "1"
    assert made.environment["CUDA_VISIBLE_DEVICES"] == ""
    assert made.environment["HF_HUB_OFFLINE"] == made.environment["TRANSFORMERS_OFFLINE"] == "1"
    assert made.removed == ("PYTHONHOME", "PYTHONPATH")


def test_gpu_command_line_and_environment() -> None:
    made = plan(gpu_machine(4), profile="llama3", mem_fraction_static=0.8)
    assert made.argv[:3] == ("/engine/bin/python", "-m", "sglang.launch_server")
    assert (value(made.argv, "--tp-size"), value(made.argv, "--dp-size")) == ("2", "1")
    assert value(made.argv, "--mem-fraction-static") == "0.8"
    assert "--device" not in made.argv
    assert "--max-running-requests" not in made.argv
    assert made.environment["CUDA_VISIBLE_DEVICES"] == "3,1"
    assert made.environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert "HF_HUB_OFFLINE" not in made.environment
    assert "OMP_NUM_THREADS" not in made.environment
    assert made.gpu_uuids == (gpu(3).uuid, gpu(1).uuid)


def test_the_key_is_in_the_file_and_nowhere_else() -> None:
    made = plan(key=KEY)
    assert value(made.argv, "--config") == "/state/sglang.yaml"
    assert KEY not in " ".join(made.argv)
    assert KEY not in made.shell_text()
    assert KEY not in repr(made)
    assert KEY not in "".join(made.environment.values())
    assert made.config == f'api-key: "{KEY}"\n'
    assert "<API_KEY>" in made.shell_text()


def test_the_users_flags_replace_ours() -> None:
    made = plan(extra=("--schedule-policy=fcfs", "--max_running_requests", "8", "--enable-metrics"))
    assert made.argv.count("--enable-metrics") == 1
    assert not [word for word in made.argv if word == "--schedule-policy"]
    assert "--max-running-requests" not in made.argv
    assert made.argv[-4:] == ("--schedule-policy=fcfs", "--max_running_requests", "8", "--enable-metrics")


def test_a_profiles_flags_are_spelled_out() -> None:
    made = plan(flags={"disable-radix-cache": True, "enable-p2p-check": False, "stream-interval": 4})
    assert "--disable-radix-cache" in made.argv
    assert "--enable-p2p-check" not in made.argv
    assert value(made.argv, "--stream-interval") == "4"


def test_a_launcher_gets_the_flags() -> None:
    made = plan(
        gpu_machine(), profile="llama3", launcher="apptainer exec --nv 'my image.sif' python3 -m sglang.launch_server"
    )
    assert made.argv[:4] == ("apptainer", "exec", "--nv", "my image.sif")
    assert "--model-path" in made.argv
    assert made.removed == ()  # the user's own environment is theirs


def test_a_revision_is_passed_on() -> None:
    assert value(plan(profile="llama3", model="owner/name@v2").argv, "--revision") == "v2"


def test_an_embedding_model_is_not_asked_for_a_token() -> None:
    assert not plan(extra=("--is-embedding",)).generates


@pytest.mark.parametrize("options", [{"tp": 2}, {"gpus": "0"}])
def test_the_cpu_engine_is_one_process_group(options: dict[str, Any]) -> None:
    with pytest.raises(ServerToolError, match="sees no GPU"):
        plan(**options)


def test_the_cpu_engine_can_have_several_ranks() -> None:
    assert value(plan(dp=2).argv, "--dp-size") == "2"
    assert "--dp-size" not in plan().argv


def test_shell_text_can_be_pasted() -> None:
    lines = plan().shell_text().splitlines()
    assert lines[0] == "unset PYTHONHOME"
    assert "export CUDA_VISIBLE_DEVICES=''" in lines
    assert all(line.endswith("\\") for line in lines if line.startswith("  --") and line is not lines[-1])


def test_a_start_has_a_seed_of_its_own_unless_the_user_gives_one() -> None:
    for extra, seed, flag in (((), 5, "5"), (("--random-seed", "7"), None, "7")):
        made = plan(random_seed=5, extra=extra)
        assert made.random_seed == seed
        assert value(made.argv, "--random-seed") == flag
