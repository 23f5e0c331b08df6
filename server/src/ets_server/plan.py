"""The launch plan: options, profile and machine facts in; command line and environment out. Pure."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .enginespec import EngineKind, script
from .errors import ServerToolError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ets_client.profiles import Profile

    from .gpus import GpuChoice
    from .machine import Machine
    from .options import LaunchOptions, Role
    from .sources import ModelChoice

__all__ = ["KEEP_ALIVE_SECONDS", "LaunchPlan", "engine_kind", "make_plan"]

KEEP_ALIVE_SECONDS = 60

FlagValue = str | int | float | bool

_CPU_FLAGS: dict[str, FlagValue] = {
    "device": "cpu",
    "attention-backend": "torch_native",
    "sampling-backend": "pytorch",
    "grammar-backend": "xgrammar",
    "disable-overlap-schedule": True,
    "disable-cuda-graph": True,
    "sleep-on-idle": True,  # an idle scheduler otherwise keeps a core busy
    "mem-fraction-static": 0.3,
}


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """Everything that starting a server needs.

    Attributes:
        argv: the command line. A key is not in it.
        environment: variables set on top of the caller's.
        removed: variables of the caller that the server must not see.
        config: text of SGLang's configuration file with the key, or None when there is no key.
        engine: CPU or CUDA.
        role: policy or reward.
        model: what SGLang is told.
        profile: name or file of the profile, or None.
        host: address to listen on.
        port: TCP port.
        generates: whether the server answers /generate (an embedding model does not).
        random_seed: the seed that we gave it, by which its /server_info is told from a stranger's; None when the user
            gave one.
        gpu_uuids: of the GPUs it gets.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    removed: tuple[str, ...]
    config: str | None = field(repr=False)
    engine: EngineKind
    role: Role
    model: str
    profile: str | None
    host: str
    port: int
    generates: bool
    random_seed: int | None
    gpu_uuids: tuple[str, ...]

    def shell_text(self) -> str:
        """The plan as lines for a shell, the key as a placeholder."""
        lines = [f"unset {name}" for name in self.removed]
        lines += [f"export {name}={shlex.quote(value)}" for name, value in sorted(self.environment.items())]
        if self.config is not None:
            lines.append("# the file after --config, mode 0600, holds: api-key: <API_KEY>")
        lines.append("# each start adds a --random-seed of its own, by which the tool tells its server from another's")
        words: list[str] = []
        for argument in self.argv:
            quoted = shlex.quote(argument)
            if words and argument.startswith("--"):
                words.append(f"\\\n  {quoted}")
            else:
                words.append(quoted)
        return "\n".join([*lines, " ".join(words)])


def engine_kind(machine: Machine) -> EngineKind:
    """CUDA where this process sees a GPU, else the CPU."""
    return "cuda" if machine.gpus else "cpu"


def make_plan(
    options: LaunchOptions,
    *,
    machine: Machine,
    profile: Profile | None,
    profile_label: str | None,
    model: ModelChoice,
    model_is_local: bool,
    gpus: GpuChoice | None,
    python: Path,
    port: int,
    api_key: str | None,
    config_file: Path,
    random_seed: int | None = None,
) -> LaunchPlan:
    """Make the plan of one server.

    Args:
        options: what the user asked for.
        machine: where it will run.
        profile: the profile, or None.
        profile_label: how clients find that profile.
        model: the model chosen.
        model_is_local: whether all of the model is on this machine, so that nothing need be asked of the hub.
        gpus: the GPUs chosen; None on the CPU.
        python: the engine's Python. Not used with ``--launcher``.
        port: the port to listen on.
        api_key: the server's key, or None.
        config_file: where the file with the key will be.
        random_seed: a number that no other server has, when it is to be started; None to leave the seed to SGLang.

    Raises:
        ServerToolError: the CPU engine cannot do what is asked.
    """
    engine = engine_kind(machine)
    if engine == "cpu" and ((options.tp or 1) > 1 or options.gpus is not None):
        raise ServerToolError("this process sees no GPU, and the CPU engine serves with --tp 1 and no --gpus")
    flags = _flags(options, engine, profile, model, gpus)
    if random_seed is not None:
        flags["random-seed"] = random_seed
    named = {_flag_name(argument) for argument in options.extra if argument.startswith("--")}
    argv = [*_command(options, engine, python), "--model-path", model.location]
    if model.revision is not None:
        argv += ["--revision", model.revision]
    argv += ["--host", options.host, "--port", str(port)]
    if api_key is not None:
        argv += ["--config", str(config_file)]
    for name, value in flags.items():
        if name not in named:
            argv += _spell(name, value)
    argv += options.extra
    return LaunchPlan(
        argv=tuple(argv),
        environment=_environment(options, engine, machine, gpus, model_is_local=model_is_local),
        removed=() if options.python or options.launcher else ("PYTHONHOME", "PYTHONPATH"),
        config=None if api_key is None else f"api-key: {json.dumps(api_key)}\n",
        engine=engine,
        role=options.role,
        model=model.location,
        profile=profile_label,
        host=options.host,
        port=port,
        random_seed=None if "random-seed" in named else random_seed,
        generates="is-embedding" not in named | {name for name, value in flags.items() if value},
        gpu_uuids=() if gpus is None else tuple(gpu.uuid for gpu in gpus.gpus),
    )


def _command(options: LaunchOptions, engine: EngineKind, python: Path) -> list[str]:
    if options.launcher is not None:
        return shlex.split(options.launcher)
    if engine == "cpu":
        return [str(python), str(script("launch_cpu"))]
    return [str(python), "-m", "sglang.launch_server"]


def _flags(
    options: LaunchOptions, engine: EngineKind, profile: Profile | None, model: ModelChoice, gpus: GpuChoice | None
) -> dict[str, FlagValue]:
    flags: dict[str, FlagValue] = {"schedule-policy": "lpm", "enable-metrics": True, "enable-cache-report": True}
    if engine == "cpu":
        flags |= _CPU_FLAGS
        if options.dp > 1:
            flags["dp-size"] = options.dp
    if gpus is not None:
        flags |= {"tp-size": gpus.tp, "dp-size": gpus.dp}
    flags["dtype"] = model.spec.dtype
    if model.spec.context_length is not None:
        flags["context-length"] = model.spec.context_length
    if profile is not None:
        serving = profile.serving
        flags["schedule-policy"] = serving.schedule_policy
        if serving.mem_fraction_static is not None and engine == "cuda":
            flags["mem-fraction-static"] = serving.mem_fraction_static
        flags |= serving.flags
        if engine == "cpu":
            flags |= serving.cpu_flags
    if options.mem_fraction_static is not None:
        flags["mem-fraction-static"] = options.mem_fraction_static
    return flags


def _environment(
    options: LaunchOptions, engine: EngineKind, machine: Machine, gpus: GpuChoice | None, *, model_is_local: bool
) -> dict[str, str]:
    environment = {
        "PYTHONUNBUFFERED": "1",
        "SGLANG_TIMEOUT_KEEP_ALIVE": str(KEEP_ALIVE_SECONDS),
        "TOKENIZERS_PARALLELISM": "false",
    }
    if not (options.python or options.launcher):
        environment["PYTHONNOUSERSITE"] = "1"
    if model_is_local:
        environment |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    if engine == "cpu":
        environment |= {"SGLANG_USE_CPU_ENGINE": "1", "OMP_NUM_THREADS": str(machine.threads)}
        environment |= {"CUDA_VISIBLE_DEVICES": ""}
    elif gpus is not None:
        environment |= {
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # the numbers below are NVML's, which count so
            "CUDA_VISIBLE_DEVICES": ",".join(gpu.device for gpu in gpus.gpus),
        }
    return environment


def _spell(name: str, value: FlagValue) -> list[str]:
    if value is True:
        return [f"--{name}"]
    return [] if value is False else [f"--{name}", str(value)]


def _flag_name(argument: str) -> str:
    return argument.removeprefix("--").partition("=")[0].replace("_", "-")
