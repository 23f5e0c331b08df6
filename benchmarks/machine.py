"""Where a benchmark ran, and where its report goes."""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path
from typing import Any


def where(benchmark: str) -> dict[str, str]:
    """The first lines of a report: what ran, when, and on what; to be asked at the end, for the load."""
    return {"benchmark": benchmark, "date": time.strftime("%Y-%m-%d"), "machine": machine()}


def publish(report: dict[str, Any], out: str | None) -> None:
    """Print a report, and write it to a file where one is named."""
    text = json.dumps(report, indent=1)
    print(text)
    if out is not None:
        Path(out).write_text(f"{text}\n", encoding="utf-8")


def machine() -> str:
    """Processor, cores, Python and load."""
    cores, usable = os.cpu_count(), len(os.sched_getaffinity(0))
    held = "" if usable == cores else f", {usable} of them used"
    load = f"load {os.getloadavg()[1]:.1f} (5 min, this benchmark included)"
    return f"{processor()}, {cores} cores{held}, CPython {platform.python_version()}, {load}"


def resident_mb() -> float:
    """Memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def processor() -> str:
    """Its name, as the kernel gives it."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
