"""The state record of a server: what is remembered of it, and what may be concluded from that. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from .options import Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["ProcessIdentity", "ServerRecord", "held_gpus", "is_same_process"]

_CLOCK_SLACK_SECONDS = 1.0  # the kernel counts in ticks since boot, and the boot time is rounded


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process told from any other that gets the same id later.

    Attributes:
        pid: its id.
        created: when it was created, seconds since the epoch.
    """

    pid: int
    created: float


class ServerRecord(BaseModel):
    """What the tool remembers of a server that it started.

    Attributes:
        name: given by the user.
        host: machine it runs on.
        job: batch job it belongs to, or None.
        state: starting, or ready once a token was generated.
        pid: leader of its process group and session.
        created: when that process was created, seconds since the epoch.
        start_id: different for every start.
        address: it listens there.
        port: and there.
        role: policy or reward.
        model: what SGLang was told.
        profile: name of the profile, or None.
        engine: cpu or cuda.
        gpu_uuids: of the GPUs it has.
        endpoint_files: files that tell clients where it is.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: Literal[1] = 1
    name: str
    host: str
    job: str | None
    state: Literal["starting", "ready"]
    pid: int
    created: float
    start_id: str
    address: str
    port: int
    role: Role
    model: str
    profile: str | None
    engine: Literal["cpu", "cuda"]
    gpu_uuids: tuple[str, ...] = ()
    endpoint_files: tuple[str, ...] = ()

    @property
    def process(self) -> ProcessIdentity:
        """The server's leading process."""
        return ProcessIdentity(self.pid, self.created)


def is_same_process(remembered: ProcessIdentity, seen: ProcessIdentity) -> bool:
    """Whether a process that is there now is the one remembered, and not a stranger that got its id."""
    return remembered.pid == seen.pid and abs(remembered.created - seen.created) < _CLOCK_SLACK_SECONDS


def held_gpus(alive: Iterable[ServerRecord]) -> Mapping[str, str]:
    """UUID of each GPU that our living servers have, to the server's name."""
    return {uuid: record.name for record in alive for uuid in record.gpu_uuids}
