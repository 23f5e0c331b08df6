"""Look at the servers that were started, and stop them."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import httpx

from .errors import ServerToolError
from .options import local_host
from .processes import is_alive, stop_group
from .store import ServerFolder, all_folders, machine_dir

if TYPE_CHECKING:
    from .machine import Machine
    from .records import ServerRecord

__all__ = ["ServerStatus", "find_folder", "list_servers", "stop_all", "stop_server"]

_HEALTH_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """One line of ``ets-server status``.

    Attributes:
        name: of the server.
        state: ready, starting, not answering, gone (its record is stale), or elsewhere (on another host).
        host: machine.
        job: batch job, or None.
        address: where it listens.
        port: and its port.
        role: policy or reward.
        model: what it serves.
        profile: name, or None.
        engine: cpu or cuda.
        gpu_uuids: of its GPUs.
        pid: of its leading process.
        up_seconds: since its process was created.
        endpoint_files: files that tell clients where it is.
        log_file: its log.
    """

    name: str
    state: str
    host: str
    job: str | None
    address: str
    port: int
    role: str
    model: str
    profile: str | None
    engine: str
    gpu_uuids: tuple[str, ...]
    pid: int
    up_seconds: float
    endpoint_files: tuple[str, ...]
    log_file: str

    def as_dict(self) -> dict[str, object]:
        """For ``--json``."""
        return asdict(self)


def list_servers(machine: Machine) -> list[ServerStatus]:
    """Every server that is remembered, on this host and on others that share this home folder."""
    found: list[ServerStatus] = []
    for folder in all_folders():
        record = folder.read()
        if record is not None:
            found.append(_status(record, folder, machine))
    return found


def find_folder(name: str, machine: Machine) -> ServerFolder:
    """The folder of a server of this machine and job.

    Raises:
        ServerToolError: there is no such server here; says where one of that name is.
    """
    folder = ServerFolder(machine_dir(machine.key) / name)
    if folder.path.is_dir():
        return folder
    others = [record for other in all_folders() if (record := other.read()) is not None and record.name == name]
    if others:
        job = f" in job {others[0].job}" if others[0].job else ""
        raise ServerToolError(f"{name!r} belongs to {others[0].host}{job}; run the command there")
    raise ServerToolError(f"there is no server {name!r} here; `ets-server status` shows what runs")


def stop_server(name: str, machine: Machine, grace_seconds: float) -> str:
    """Stop one server and forget it.

    Returns:
        What was done, for the user.

    Raises:
        ServerToolError: there is no such server here.
    """
    folder = find_folder(name, machine)
    record = folder.read()
    if record is None:
        raise ServerToolError(f"{name!r} is not running; `ets-server status` shows what runs")
    return _stop(folder, record, grace_seconds)


def stop_all(machine: Machine, grace_seconds: float) -> list[str]:
    """Stop every server of this machine and job.

    Returns:
        What was done, one line each.
    """
    done: list[str] = []
    for folder in all_folders(machine.key):
        record = folder.read()
        if record is not None:
            done.append(_stop(folder, record, grace_seconds))
    return done


def _stop(folder: ServerFolder, record: ServerRecord, grace_seconds: float) -> str:
    began = time.monotonic()
    was_running = stop_group(record.process, grace_seconds)
    folder.forget(record)
    if not was_running:
        return f"{record.name} was not running any more; its record is removed"
    return f"{record.name} is down ({time.monotonic() - began:.1f} s)"


def _status(record: ServerRecord, folder: ServerFolder, machine: Machine) -> ServerStatus:
    return ServerStatus(
        name=record.name,
        state=_state(record, machine),
        host=record.host,
        job=record.job,
        address=record.address,
        port=record.port,
        role=record.role,
        model=record.model,
        profile=record.profile,
        engine=record.engine,
        gpu_uuids=record.gpu_uuids,
        pid=record.pid,
        up_seconds=round(max(0.0, time.time() - record.created), 1),
        endpoint_files=record.endpoint_files,
        log_file=str(folder.log_file),
    )


def _state(record: ServerRecord, machine: Machine) -> str:
    if record.host != machine.host:
        return "elsewhere"
    if not is_alive(record.process):
        return "gone"
    if record.state == "starting":
        return "starting"
    host = local_host(record.address)
    host = f"[{host}]" if ":" in host else host
    try:
        reply = httpx.get(f"http://{host}:{record.port}/health", timeout=_HEALTH_SECONDS, trust_env=False)
    except httpx.TransportError:
        return "not answering"
    return "ready" if reply.is_success else "not answering"
