"""Read the facts of this machine: cores, GPUs through NVML, the batch job, ports."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import os
import platform
import socket
from pathlib import Path
from typing import Any

import psutil

from .gpus import visible_gpus
from .machine import Gpu, GpuProcess, Machine, job_of

__all__ = ["free_port", "port_is_free", "read_identity", "read_machine"]

_FIRST_PORT = 30000
_PORTS_TRIED = 1000
_MIB = 2**20


def read_machine() -> Machine:
    """The machine as this process sees it."""
    gpus = visible_gpus(_physical_gpus(), os.environ.get("CUDA_VISIBLE_DEVICES"))
    return dataclasses.replace(read_identity(), gpus=gpus)


def read_identity() -> Machine:
    """The machine without its GPUs: what tells it from others."""
    host = platform.node().partition(".")[0] or "localhost"
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return Machine(host, job_of(os.environ), _cores(), wanted_threads=int(wanted) if wanted.isdecimal() else None)


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(host: str, taken: frozenset[int]) -> int | None:
    """The first free port from 30000 on.

    Args:
        host: address to listen on.
        taken: ports of servers that are starting and do not listen yet.
    """
    candidates = range(_FIRST_PORT, _FIRST_PORT + _PORTS_TRIED)
    return next((port for port in candidates if port not in taken and port_is_free(host, port)), None)


def _cores() -> int:
    cores = len(os.sched_getaffinity(0))
    with contextlib.suppress(OSError, ValueError):  # a container's share of the CPU, where there is one
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        cores = min(cores, max(1, int(quota) // int(period)))
    return cores


def _physical_gpus() -> tuple[Gpu, ...]:
    """Every GPU that NVML shows, in PCI bus order; MIG instances after the GPU they are part of."""
    pynvml: Any = importlib.import_module("pynvml")  # it has no types
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        gpus: list[Gpu] = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            gpus.append(_gpu(pynvml, handle, index))
            gpus += [_gpu(pynvml, instance, None) for instance in _mig_instances(pynvml, handle)]
        return tuple(gpus)
    finally:
        pynvml.nvmlShutdown()


def _mig_instances(nvml: Any, handle: Any) -> list[Any]:
    try:
        if nvml.nvmlDeviceGetMigMode(handle)[0] != nvml.NVML_DEVICE_MIG_ENABLE:
            return []
        count = nvml.nvmlDeviceGetMaxMigDeviceCount(handle)
    except nvml.NVMLError:
        return []
    instances: list[Any] = []
    for number in range(count):
        with contextlib.suppress(nvml.NVMLError):
            instances.append(nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, number))
    return instances


def _gpu(nvml: Any, handle: Any, index: int | None) -> Gpu:
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    try:
        running: list[Any] = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except nvml.NVMLError:  # not shown inside some containers
        running = []
    return Gpu(
        index=index,
        uuid=_text(nvml.nvmlDeviceGetUUID(handle)),
        name=_text(nvml.nvmlDeviceGetName(handle)),
        total_mib=memory.total // _MIB,
        free_mib=memory.free // _MIB,
        processes=tuple(
            GpuProcess(
                pid=process.pid,
                user=_user_of(process.pid),
                memory_mib=None if process.usedGpuMemory is None else process.usedGpuMemory // _MIB,
            )
            for process in running
        ),
    )


def _user_of(pid: int) -> str | None:
    try:
        return psutil.Process(pid).username()
    except psutil.Error:
        return None


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
