"""What a starting server is doing, read from its log. Pure."""

from __future__ import annotations

import re

__all__ = ["FIRST_PHASE", "phase_of"]

FIRST_PHASE = "starting SGLang"

_PHASES = tuple(  # the furthest one that the log shows is the phase
    (name, re.compile(pattern))
    for name, pattern in (
        (FIRST_PHASE, r""),
        ("reading the configuration", r"server_args=(?:ServerArgs|\{)"),
        ("starting workers", r"Init (?:torch distributed|parallel) begin"),
        ("downloading weights", r"Fetching \d+ files|Downloading .*(?:safetensors|bin)\b"),
        ("loading weights", r"Load weight begin|Loading (?:safetensors|pt) checkpoint shards|Multi-thread loading"),
        ("allocating the KV cache", r"Load weight end"),
        ("capturing graphs", r"Capture .*graph begin"),
        ("warming up", r"Uvicorn running on|Application startup complete"),
        ("generating a first token", r"The server is fired up and ready to roll"),
    )
)


def phase_of(log: str) -> str:
    """The furthest phase that the log shows."""
    return next(name for name, pattern in reversed(_PHASES) if pattern.search(log))
