"""Gather the facts for preflight."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
from typing import TYPE_CHECKING, Literal

from ets_client.profiles import HubSource

from .engines import environment_for, is_complete
from .errors import ServerToolError
from .facts import read_machine
from .findings import Engine, Inspection, Model
from .hub import has_token, local_snapshot
from .models import is_made
from .plan import engine_kind
from .store import engines_dir
from .survey import Launch, plan_launch, survey

if TYPE_CHECKING:
    from pathlib import Path

    from .options import LaunchOptions

__all__ = ["inspect_machine"]

_ASK_SECONDS = 120
_ASK = """
import importlib.metadata, importlib.util, json, sys
def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
cuda = None
if "cuda" in sys.argv and importlib.util.find_spec("torch"):
    import torch
    cuda = torch.cuda.is_available()
print(json.dumps([sys.version_info[:3], version("torch"), version("sglang"), cuda]))
"""


def inspect_machine(options: LaunchOptions) -> Inspection:
    """Look at everything a start with these options needs. Starts and changes nothing."""
    problems: list[str] = []
    launch: Launch | None = None
    port: int | None = None
    try:
        launch = survey(options)
        plan, _ = plan_launch(launch)
        port = plan.port
    except ServerToolError as error:
        problems.append(str(error))
    machine = read_machine() if launch is None else launch.machine
    cache = engines_dir().parent
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Inspection(
        gpus=machine.gpus,
        problems=tuple(problems),
        port=port,
        engine=None if launch is None else _engine(launch),
        model=None if launch is None else _model(launch),
        open_files=(soft, hard),
        cache_dir=str(cache),
        cache_free_gib=shutil.disk_usage(_existing(cache)).free / 2**30,
    )


def _engine(launch: Launch) -> Engine:
    kind = engine_kind(launch.machine)
    if launch.python is None:
        return Engine(kind, "launcher", installed=None)
    if launch.engine is not None and not is_complete(launch.engine):
        return Engine(kind, "own", installed=False)
    origin: Literal["own", "python"] = "python" if launch.engine is None else "own"
    command = [str(launch.python), "-c", _ASK, kind]
    try:
        reply = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=True,
            timeout=_ASK_SECONDS,
            env=environment_for(launch.engine),
        )
        python, torch, sglang, cuda_works = json.loads(reply.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        return Engine(kind, origin, installed=True, error=f"cannot ask {launch.python}: {error}")
    return Engine(kind, origin, True, tuple(python), torch, sglang, cuda_works)


def _model(launch: Launch) -> Model:
    choice = launch.model
    source = choice.spec.source
    label = choice.location if choice.revision is None else f"{choice.location}@{choice.revision}"
    gated = isinstance(source, HubSource) and source.gated
    if choice.made_here:
        return Model(label, "here" if is_made(choice) else "to make", gated, has_token=True)
    if choice.on_hub and local_snapshot(choice.location, choice.revision) is None:
        return Model(label, "on the hub", gated, has_token())
    return Model(label, "here", gated, has_token=True)


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.is_dir())
