"""What the decisions need to know of a machine, as plain data. Reading it from a real one is ``facts``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Gpu", "GpuProcess", "Machine", "job_of"]

_JOB_VARIABLES = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID")


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process that holds memory of a GPU.

    Attributes:
        pid: its id.
        user: who runs it, or None when that cannot be seen.
        memory_mib: how much it holds, or None when NVML does not tell.
    """

    pid: int
    user: str | None = None
    memory_mib: int | None = None

    def __str__(self) -> str:
        memory = f", {self.memory_mib} MiB" if self.memory_mib is not None else ""
        return f"pid {self.pid} of {self.user or 'another user'}{memory}"


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU as NVML shows it.

    Attributes:
        index: number in PCI bus order, as ``nvidia-smi`` counts; None for a MIG instance.
        uuid: its name that never changes.
        name: the product.
        total_mib: memory.
        free_mib: memory that nobody holds.
        processes: who computes on it.
    """

    index: int | None
    uuid: str
    name: str
    total_mib: int
    free_mib: int
    processes: tuple[GpuProcess, ...] = ()

    @property
    def device(self) -> str:
        """How ``CUDA_VISIBLE_DEVICES`` names it: by number where it has one, since SGLang reads numbers there."""
        return self.uuid if self.index is None else str(self.index)


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as the tool sees it.

    Attributes:
        host: its name.
        job: id of the batch job we are in, or None.
        cores: cores that this process may use.
        gpus: the GPUs visible to this process, in the order in which it counts them.
        wanted_threads: what ``OMP_NUM_THREADS`` says, or None.
    """

    host: str
    job: str | None
    cores: int
    gpus: tuple[Gpu, ...] = ()
    wanted_threads: int | None = None

    @property
    def threads(self) -> int:
        """Threads that a model on the CPU computes with: a core is left to clients and the server's other processes.

        With as many threads as cores each operator waits, spinning, for one whose core somebody else has. On two cores
        in use by others too, the tiny model took 17 to 105 ms a step with two threads, and 1 to 3 ms with one.
        """
        return self.wanted_threads or max(1, self.cores - 1)

    @property
    def key(self) -> str:
        """Names this machine, and this job on it, in folders that several machines share."""
        return self.host if self.job is None else f"{self.host}.job-{self.job}"


def job_of(environment: Mapping[str, str]) -> str | None:
    """The id of the batch job (Slurm, PBS, LSF, Grid Engine) that these variables belong to, if any."""
    for variable in _JOB_VARIABLES:
        if value := environment.get(variable):
            return "".join(character if character.isalnum() else "-" for character in value)
    return None
