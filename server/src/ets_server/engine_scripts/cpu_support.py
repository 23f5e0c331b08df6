"""Stand-ins for what SGLang imports, never calls here, and a CPU has no build of.

Runs on the engine's Python. :func:`install` must be called before ``sglang`` is imported, in every process: SGLang
spawns its workers, and a spawned process runs the main script's module level again, so a call there is enough.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

_KEPT: list[torch.library.Library] = []  # a library's definitions go when it is collected


class _KernelStandIn(types.ModuleType):
    """Has every name, and each is a function that cannot be called."""

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*_arguments: object, **_options: object) -> NoReturn:
            raise NotImplementedError(f"sgl_kernel.{name} has no CPU build")

        return missing


def install() -> None:
    """Put the stand-ins in place, where they are needed."""
    _stand_in_for_torchvision()
    _stand_in_for_kernels()


def _stand_in_for_torchvision() -> None:
    """Define the two operators whose absence makes ``import torchvision`` fail beside a CPU build of torch."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return
    for library in Path(spec.origin).parent.glob("_C*.so"):
        try:
            torch.ops.load_library(str(library))
        except OSError:
            continue
        return
    operators = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _KEPT.append(operators)


def _stand_in_for_kernels() -> None:
    """Put a package ``sgl_kernel`` in place where none is installed."""
    if importlib.util.find_spec("sgl_kernel") is not None:
        return
    module = _KernelStandIn("sgl_kernel")
    module.__spec__ = importlib.machinery.ModuleSpec("sgl_kernel", None, is_package=True)
    module.__dict__.update(__path__=[], __version__="0.0.0")
    sys.modules["sgl_kernel"] = module
