"""The Python that serves the models, for scripts that need transformers."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

__all__ = ["run_on_engine"]


def run_on_engine(script: str, *arguments: str, stdin: str = "") -> str:
    """Run a script of this folder on the engine's Python.

    Args:
        script: its name; its first argument is the folder of the engine's own scripts.
        arguments: the others.
        stdin: what it reads.

    Returns:
        What it printed.
    """
    shown = subprocess.run(
        [os.environ["ETS_SERVER"], "command", "--profile", "tiny"], capture_output=True, text=True, check=True
    )
    line = next(line for line in shown.stdout.splitlines() if "launch_cpu.py" in line)
    python, launcher = shlex.split(line.rstrip("\\"))[:2]
    command = [python, str(Path(__file__).parent / script), str(Path(launcher).parent), *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=True).stdout
