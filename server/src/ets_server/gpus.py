"""Which GPUs a server gets. Pure: takes what NVML and the records said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import ServerToolError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .machine import Gpu

__all__ = ["GpuChoice", "choose_gpus", "parse_gpu_list", "visible_gpus"]


@dataclass(frozen=True, slots=True)
class GpuChoice:
    """The GPUs of one server.

    Attributes:
        gpus: in the order the server counts them.
        tp: tensor parallel size.
        dp: data parallel size.
        note: something the user should know, or "".
    """

    gpus: tuple[Gpu, ...]
    tp: int
    dp: int
    note: str = ""


def parse_gpu_list(text: str) -> tuple[int, ...]:
    """Read ``"0,1"``.

    Raises:
        ServerToolError: it is not a list of different numbers.
    """
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise ServerToolError(f"--gpus {text!r} is not a list of numbers such as 0,1")
    numbers = tuple(int(part) for part in parts)
    if len(set(numbers)) != len(numbers):
        raise ServerToolError(f"--gpus {text!r} names a GPU twice")
    return numbers


def visible_gpus(physical: tuple[Gpu, ...], setting: str | None) -> tuple[Gpu, ...]:
    """Apply ``CUDA_VISIBLE_DEVICES`` the way CUDA does: in its order, up to the first entry that does not exist.

    Args:
        physical: every GPU, in PCI bus order.
        setting: the variable's value, or None when it is not set.
    """
    if setting is None:
        return physical
    chosen: list[Gpu] = []
    for token in (part.strip() for part in setting.split(",")):
        match = next((gpu for gpu in physical if _names(token, gpu)), None)
        if match is None or match in chosen:
            break
        chosen.append(match)
    return tuple(chosen)


def choose_gpus(
    visible: tuple[Gpu, ...],
    *,
    requested: tuple[int, ...] | None,
    tp: int | None,
    dp: int,
    held: Mapping[str, str],
    share: bool,
) -> GpuChoice:
    """Choose the GPUs of a new server.

    Args:
        visible: the GPUs this process may use, in the order it counts them.
        requested: positions among ``visible``, or None to take the first that are free.
        tp: tensor parallel size, or None for as many as were requested.
        dp: data parallel size.
        held: UUID to the name of our server that runs there.
        share: whether a GPU may be shared.

    Raises:
        ServerToolError: they are too few, do not fit the sizes, or are in use.
    """
    if requested is None:
        return _first_free(visible, tp or 1, dp, held, share=share)
    beyond = [number for number in requested if number >= len(visible)]
    if beyond:
        raise ServerToolError(
            f"--gpus asks for GPU {beyond[0]}, but this process sees {len(visible)} (numbered from 0); "
            "CUDA_VISIBLE_DEVICES or the batch system's allocation decides which"
        )
    gpus = tuple(visible[number] for number in requested)
    if tp is None:
        if len(gpus) % dp:
            raise ServerToolError(f"{len(gpus)} GPUs cannot be divided among --dp {dp} replicas; change --gpus or --dp")
        tp = len(gpus) // dp
    needed = tp * dp
    if needed > len(gpus):
        raise ServerToolError(
            f"--tp {tp} x --dp {dp} needs {needed} GPUs and --gpus names {len(gpus)}; name more or lower the sizes"
        )
    note = f"only the first {needed} of the {len(gpus)} GPUs named are used" if needed < len(gpus) else ""
    gpus = gpus[:needed]
    if not share:
        for number, gpu in zip(requested, gpus, strict=False):
            if reason := _occupied(gpu, held):
                raise ServerToolError(
                    f"GPU {number} ({gpu.uuid}) is used by {reason}; choose another with --gpus, or add --share-gpu"
                )
    return GpuChoice(gpus, tp, dp, note)


def _first_free(visible: tuple[Gpu, ...], tp: int, dp: int, held: Mapping[str, str], *, share: bool) -> GpuChoice:
    needed = tp * dp
    if needed > len(visible):
        raise ServerToolError(
            f"--tp {tp} x --dp {dp} needs {needed} GPUs and this process sees {len(visible)}; lower the sizes"
        )
    free = [gpu for gpu in visible if share or not _occupied(gpu, held)]
    if len(free) < needed:
        number, gpu = next((number, gpu) for number, gpu in enumerate(visible) if gpu not in free)
        raise ServerToolError(
            f"{needed} free GPUs are needed and {len(free)} of {len(visible)} are free: "
            f"GPU {number} is used by {_occupied(gpu, held)}; stop that, or add --share-gpu"
        )
    return GpuChoice(tuple(free[:needed]), tp, dp)


def _occupied(gpu: Gpu, held: Mapping[str, str]) -> str:
    if server := held.get(gpu.uuid):
        return f"the server {server!r}"
    more = f" and {len(gpu.processes) - 1} more" if len(gpu.processes) > 1 else ""
    return next((f"{process}{more}" for process in gpu.processes), "")


def _names(token: str, gpu: Gpu) -> bool:
    if token.isdecimal():
        return gpu.index == int(token)
    return bool(token) and gpu.uuid.startswith(token)  # CUDA takes an unambiguous beginning of a UUID
