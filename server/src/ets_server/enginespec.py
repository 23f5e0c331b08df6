"""The tool's own engine environments: what is in them and what they are called. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

from .errors import ServerToolError

__all__ = ["DEFAULT_SGLANG", "SGLANG_VERSIONS", "EngineKind", "EngineSpec", "check_version", "engine_spec", "script"]

EngineKind = Literal["cpu", "cuda"]

SGLANG_VERSIONS = ("0.5.18", "0.5.23")
"""Those that have a lock of their own for each kind, in ``locks``."""

DEFAULT_SGLANG = "0.5.18"
_TORCH = "torch=="


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """An environment that has SGLang installed.

    Attributes:
        kind: CPU or CUDA.
        lock: text of its requirements file.
        python_version: ``"3.11"``.
    """

    kind: EngineKind
    lock: str
    python_version: str

    @property
    def name(self) -> str:
        """Names the folder: another lock or another Python is another environment."""
        digest = hashlib.sha256(f"{self.python_version}\n{self.lock}".encode()).hexdigest()[:12]
        return f"sglang-{self.kind}-py{self.python_version}-{digest}"

    @property
    def requirements(self) -> tuple[str, ...]:
        """The lock without its comments."""
        lines = (line.partition("#")[0].strip() for line in self.lock.splitlines())
        return tuple(line for line in lines if line)

    def pip_passes(self, lock_file: str) -> tuple[tuple[str, ...], ...]:
        """The arguments of each ``pip install``, in order.

        On a CPU torch goes first and with its dependencies, held to the lock: where the index has a CPU build those are
        in the lock anyway, and where it has only a CUDA build that build's libraries must come along. The rest goes
        without dependencies, because SGLang's own list names CUDA packages that cannot be had here.

        Args:
            lock_file: path of the lock on disk.
        """
        if self.kind == "cuda":
            return (("--requirement", lock_file),)
        torch = next(line for line in self.requirements if line.startswith(_TORCH))
        return (
            ("--constraint", lock_file, torch),
            ("--no-deps", "--requirement", lock_file),
        )

    def python(self, engines_dir: Path) -> Path:
        """Where its Python is."""
        return engines_dir / self.name / "bin" / "python"


def check_version(sglang: str) -> None:
    """Refuse a version of SGLang that the tool does not pin.

    Raises:
        ServerToolError: names those that it does.
    """
    if sglang not in SGLANG_VERSIONS:
        raise ServerToolError(
            f"--sglang {sglang!r} is none of the versions that ets-server installs: {', '.join(SGLANG_VERSIONS)}; "
            "another SGLang that you have is used with --python or --launcher"
        )


def engine_spec(kind: EngineKind, python_version: str, sglang: str = DEFAULT_SGLANG) -> EngineSpec:
    """The engine of that kind and version of SGLang, as this version of the tool pins it.

    Raises:
        ServerToolError: the tool does not pin that version.
    """
    check_version(sglang)
    lock = (files("ets_server") / "locks" / f"{kind}-{sglang}.txt").read_text(encoding="utf-8")
    return EngineSpec(kind, lock, python_version)


def script(name: str) -> Path:
    """Path of a script that runs on the engine's Python."""
    return Path(__file__).parent / "engine_scripts" / f"{name}.py"
