"""Run ``ets-server`` as a user does, in another process."""

from __future__ import annotations

import subprocess
import sys

COMMAND = (sys.executable, "-c", "from ets_server.cli import main; main()")


def ets_server(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=timeout)
