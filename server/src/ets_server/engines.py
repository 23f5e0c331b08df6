"""Build an engine environment once, so that an interrupted build is never taken for a whole one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from .enginespec import DEFAULT_SGLANG, EngineKind, EngineSpec, engine_spec
from .errors import ServerToolError
from .store import engines_dir, lock, remove_tree, write_private

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["ensure_engine", "environment_for", "expected_engine", "is_complete"]

_MARKER = ".complete"
_STEP = re.compile(
    r"^\s*(?:(?P<verb>Collecting|Downloading|Processing|Using cached) (?P<what>\S+)|(?P<last>Installing) )"
)
_PYTHON_SETTINGS = ("PYTHONHOME", "PYTHONPATH")


def expected_engine(kind: EngineKind, sglang: str | None = None) -> EngineSpec:
    """The engine that this tool, on this Python, would use.

    Args:
        kind: CPU or CUDA.
        sglang: version of SGLang; None means the default.

    Raises:
        ServerToolError: the tool does not pin that version.
    """
    return engine_spec(kind, f"{sys.version_info.major}.{sys.version_info.minor}", sglang or DEFAULT_SGLANG)


def is_complete(spec: EngineSpec) -> bool:
    """Whether that environment was built to the end."""
    return (engines_dir() / spec.name / _MARKER).is_file()


def ensure_engine(spec: EngineSpec, say: Callable[[str, str], None]) -> Path:
    """Build the environment if it is not there yet.

    Two builds of the same one wait for each other. The marker is written last: a folder without it is built anew.

    Args:
        spec: which.
        say: told the phase and its detail.

    Returns:
        Its Python.

    Raises:
        ServerToolError: pip or venv failed.
    """
    python = spec.python(engines_dir())
    if is_complete(spec):
        return python
    folder = engines_dir() / spec.name
    with lock(engines_dir() / f".{spec.name}.lock", "installing the engine", wait=True, say=say):
        if is_complete(spec):
            return python
        remove_tree(folder)
        environment = environment_for(spec)
        say("installing the engine (once; some minutes)", "")
        _run([sys.executable, "-m", "venv", str(folder)], "make a virtual environment", environment, say)
        lock_file = folder / "lock.txt"
        lock_file.write_text("\n".join(spec.requirements) + "\n", encoding="utf-8")
        for arguments in spec.pip_passes(str(lock_file)):
            command = [str(python), "-m", "pip", "install", "--progress-bar", "off", "--no-input", *arguments]
            _run(command, "install the engine", environment, say)
        write_private(folder / _MARKER, "")
    return python


def environment_for(engine: EngineSpec | None) -> dict[str, str]:
    """The environment of a helper that runs on the engine's Python. The user's PIP_* settings stay in it.

    Args:
        engine: one of ours, which must not be led to other packages; None for a Python that the user brings.
    """
    environment = dict(os.environ) | {"TOKENIZERS_PARALLELISM": "false"}
    if engine is not None:
        for name in _PYTHON_SETTINGS:
            environment.pop(name, None)
        environment["PYTHONNOUSERSITE"] = "1"
    return environment


def _run(command: list[str], purpose: str, environment: Mapping[str, str], say: Callable[[str, str], None]) -> None:
    lines: list[str] = []
    packages: set[str] = set()
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    ) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - it was asked for above
            for raw in process.stdout:
                line = raw.decode(errors="replace").rstrip()
                lines.append(line)
                if match := _STEP.match(line):
                    packages.add(match["what"] or "")
                    detail = (
                        "unpacking all" if match["last"] else f"{match['what'].rpartition('/')[2]} ({len(packages)})"
                    )
                    say("installing the engine (once; some minutes)", detail)
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        errors = [line for line in lines if line.startswith("ERROR:")] or [line for line in lines if line][-1:]
        reason = errors[-1].removeprefix("ERROR:").strip() if errors else f"exit status {process.returncode}"
        hint = " (on Debian and Ubuntu: install python3-venv)" if "ensurepip" in "\n".join(lines) else ""
        raise ServerToolError(f"could not {purpose}: {reason}{hint}; pip's own settings (PIP_*, pip.conf) are honoured")
