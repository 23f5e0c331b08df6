"""Machines that are not there."""

from __future__ import annotations

from ets_server.machine import Gpu, GpuProcess, Machine


def gpu(index: int, *, busy: bool = False) -> Gpu:
    holders = (GpuProcess(pid=4242, user="mallory", memory_mib=70000),) if busy else ()
    return Gpu(index, f"GPU-{index}{index}{index}{index}-abcd", "NVIDIA H100", 81559, 9000 if busy else 81000, holders)


def gpu_machine(count: int = 2) -> Machine:
    return Machine("node1", None, 16, tuple(gpu(index) for index in range(count)))


CPU_MACHINE = Machine("laptop", None, 4)
