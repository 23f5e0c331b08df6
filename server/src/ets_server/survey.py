"""Look at the machine, the profile and the running servers, and plan a launch. Changes nothing."""

from __future__ import annotations

import platform
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ets_client.errors import ConfigurationError
from ets_client.profiles import Profile, load_profile

from .engines import expected_engine
from .errors import ServerToolError
from .facts import free_port, port_is_free, read_machine
from .gpus import GpuChoice, choose_gpus, parse_gpu_list
from .hub import local_snapshot
from .models import check_folder
from .plan import LaunchPlan, engine_kind, make_plan
from .processes import is_alive
from .records import ServerRecord, held_gpus
from .sources import ModelChoice, choose_model, profile_label, profile_name
from .store import ServerFolder, all_folders, engines_dir, machine_dir, models_dir

if TYPE_CHECKING:
    from .enginespec import EngineSpec
    from .machine import Machine
    from .options import LaunchOptions

__all__ = ["Launch", "alive_records", "connect_host", "plan_launch", "survey"]


@dataclass(frozen=True, slots=True)
class Launch:
    """A launch before it is placed on a port and on GPUs.

    Attributes:
        options: what the user asked for.
        machine: where.
        profile: the profile, or None.
        model: the model.
        engine: the environment the tool builds; None when the user brings SGLang.
        python: the engine's Python; None with ``--launcher``.
        api_key: the server's key, or None.
        folder: where its state is kept.
        notes: things the user should know.
    """

    options: LaunchOptions
    machine: Machine
    profile: Profile | None
    model: ModelChoice
    engine: EngineSpec | None
    python: Path | None
    api_key: str | None
    folder: ServerFolder
    notes: tuple[str, ...]


def survey(options: LaunchOptions) -> Launch:
    """Find out everything about a launch that does not depend on what else runs.

    Raises:
        ServerToolError: it cannot be done as asked.
    """
    options.check()
    machine = read_machine()
    notes: list[str] = []
    name = profile_name(options, machine)
    if name is not None and options.profile is None:
        notes.append(f"no profile or model was named: taking profile {name}")
    try:
        profile = None if name is None else load_profile(name)
    except ConfigurationError as error:
        raise ServerToolError(str(error)) from None
    model = choose_model(options, profile, models_dir())
    check_folder(model)
    engine = None if options.python or options.launcher else expected_engine(engine_kind(machine), options.sglang)
    if engine is not None and engine.kind == "cpu":
        cores = "1 core" if machine.cores == 1 else f"{machine.cores} cores"
        notes.append(f"no GPU is visible here: serving on the CPU with {cores}")
    return Launch(
        options=options,
        machine=machine,
        profile=profile,
        model=model,
        engine=engine,
        python=_python(options, engine),
        api_key=_read_key(options.api_key_file, notes),
        folder=ServerFolder(machine_dir(machine.key) / options.server_name),
        notes=tuple(notes),
    )


def plan_launch(launch: Launch, random_seed: int | None = None) -> tuple[LaunchPlan, str]:
    """Choose port and GPUs among those free now, and make the plan.

    Args:
        launch: what to plan.
        random_seed: see :func:`make_plan`.

    Returns:
        The plan, and a note for the user or "".

    Raises:
        ServerToolError: the port or the GPUs cannot be had.
    """
    options = launch.options
    alive = alive_records(launch.machine)
    choice = _choose_gpus(launch, alive)
    plan = make_plan(
        options,
        machine=launch.machine,
        profile=launch.profile,
        profile_label=None if launch.profile is None else profile_label(options, launch.profile),
        model=launch.model,
        model_is_local=not launch.model.on_hub
        or local_snapshot(launch.model.location, launch.model.revision) is not None,
        gpus=choice,
        python=launch.python or Path("python3"),
        port=_choose_port(options, alive),
        api_key=launch.api_key,
        config_file=launch.folder.config_file,
        random_seed=random_seed,
    )
    return plan, "" if choice is None else choice.note


def alive_records(machine: Machine) -> list[ServerRecord]:
    """Records of our servers that run on this host, in whichever job."""
    records = [record for folder in all_folders() if (record := folder.read()) is not None]
    return [record for record in records if record.host == machine.host and is_alive(record.process)]


def connect_host(host: str) -> str:
    """The address under which clients reach a server that listens on ``host``."""
    return platform.node() if host in {"0.0.0.0", "::"} else host  # noqa: S104 - compared, not bound


def _choose_gpus(launch: Launch, alive: list[ServerRecord]) -> GpuChoice | None:
    if not launch.machine.gpus:
        return None
    options = launch.options
    return choose_gpus(
        launch.machine.gpus,
        requested=None if options.gpus is None else parse_gpu_list(options.gpus),
        tp=options.tp,
        dp=options.dp,
        held=held_gpus(alive),
        share=options.share_gpu,
    )


def _choose_port(options: LaunchOptions, alive: list[ServerRecord]) -> int:
    taken = {record.port: record.name for record in alive}
    port = options.fixed_port
    if port is None:
        port = free_port(options.host, frozenset(taken))
        if port is None:
            raise ServerToolError(f"found no free port on {options.host}; name one with --port")
        return port
    if port in taken:
        raise ServerToolError(f"port {port} is taken by the server {taken[port]!r}; use another --port, or --port auto")
    if not port_is_free(options.host, port):
        raise ServerToolError(
            f"port {port} on {options.host} is taken by another program, or may not be used; "
            "use another --port, or --port auto"
        )
    return port


def _python(options: LaunchOptions, engine: EngineSpec | None) -> Path | None:
    if engine is not None:
        return engine.python(engines_dir())
    if options.python is None:
        return None
    python = options.python.expanduser().absolute()
    if not python.is_file():
        raise ServerToolError(
            f"--python {options.python} is no file; give the Python of an environment that has SGLang"
        )
    return python


def _read_key(file: Path | None, notes: list[str]) -> str | None:
    if file is None:
        return None
    try:
        key = file.expanduser().read_text(encoding="utf-8").strip()
        mode = file.expanduser().stat().st_mode
    except OSError as error:
        raise ServerToolError(f"cannot read --api-key-file {file}: {error.strerror}") from None
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ServerToolError(f"--api-key-file {file} must hold one key: printable ASCII without spaces, on one line")
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        notes.append(f"others can read {file}: run `chmod 600 {file}`")
    return key
