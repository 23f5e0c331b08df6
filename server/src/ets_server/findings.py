"""What preflight says: the facts of an inspection in, one line per finding out. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .enginespec import EngineKind
    from .machine import Gpu

__all__ = ["Engine", "Finding", "Inspection", "Model", "findings_of"]

Level = Literal["ok", "warn", "fail"]

_OLDEST, _NEWEST = (3, 10), (3, 13)
_OPEN_FILES_WANTED = 65536
_ENGINE_GIB = {"cpu": 6, "cuda": 25}
_GPU_SHARE_FREE = 0.85


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: how it is.
        subject: what was looked at.
        text: what was found, and the mend when it is not well.
    """

    level: Level
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.level:<5} {self.subject:<11} {self.text}"


@dataclass(frozen=True, slots=True)
class Engine:
    """What is known of the SGLang that would run.

    Attributes:
        kind: CPU or CUDA.
        origin: "own" (built by the tool), "python" (the user's) or "launcher".
        installed: whether it is there; None when that cannot be seen.
        python: version of its Python, or None when that cannot be seen.
        torch: version of its torch, or None.
        sglang: its version, or None.
        cuda_works: whether its torch sees a GPU, or None when it was not asked.
        error: why it could not be asked, or "".
    """

    kind: EngineKind
    origin: Literal["own", "python", "launcher"]
    installed: bool | None
    python: tuple[int, ...] | None = None
    torch: str | None = None
    sglang: str | None = None
    cuda_works: bool | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """Where the model is.

    Attributes:
        label: what SGLang would be told.
        state: on this machine, to be made here, only on the hub.
        gated: whether the hub asks for a token.
        has_token: whether there is one.
    """

    label: str
    state: Literal["here", "to make", "on the hub"]
    gated: bool
    has_token: bool


@dataclass(frozen=True, slots=True)
class Inspection:
    """The facts.

    Attributes:
        gpus: visible ones.
        problems: what survey and placement refuse, already worded for the user.
        port: the port that would be taken, or None when there was a problem before.
        engine: or None when there was a problem before.
        model: or None likewise.
        open_files: soft and hard limit.
        cache_dir: where engines and models go.
        cache_free_gib: room there.
    """

    gpus: tuple[Gpu, ...]
    problems: tuple[str, ...]
    port: int | None
    engine: Engine | None
    model: Model | None
    open_files: tuple[int, int]
    cache_dir: str
    cache_free_gib: float


def findings_of(facts: Inspection) -> list[Finding]:
    """Judge the facts."""
    found = [Finding("fail", "request", problem) for problem in facts.problems]
    if facts.engine is not None:
        found += _engine(facts.engine)
    found += _gpus(facts.gpus)
    if facts.port is not None:
        found.append(Finding("ok", "port", f"{facts.port} is free"))
    found += [_open_files(*facts.open_files), _disk(facts)]
    if facts.model is not None:
        found.append(_model(facts.model))
    return found


def _engine(engine: Engine) -> list[Finding]:
    if engine.origin == "launcher":
        return [Finding("ok", "engine", "yours, started by --launcher; what is in it cannot be seen from here")]
    if engine.error:
        return [Finding("fail", "engine", engine.error)]
    if not engine.installed:
        return [Finding("warn", "engine", "not installed yet; the first start installs it (needs a package index)")]
    found: list[Finding] = []
    if engine.python is not None:
        version = ".".join(map(str, engine.python))
        known = _OLDEST <= engine.python[:2] <= _NEWEST
        text = version if known else f"{version} is outside 3.10 to 3.13, for which SGLang is made; use another"
        found.append(Finding("ok" if known else "fail", "python", text))
    if engine.torch is None or engine.sglang is None:
        lacking = "torch" if engine.torch is None else "sglang"
        found.append(Finding("fail", "engine", f"its Python has no {lacking}; install it there, or leave out --python"))
        return found
    found += [Finding("ok", "torch", engine.torch), Finding("ok", "sglang", engine.sglang)]
    if engine.kind == "cuda":
        found.append(
            Finding("ok", "cuda", "torch sees the GPUs")
            if engine.cuda_works
            else Finding(
                "fail", "cuda", "torch sees no GPU: its CUDA build and the driver do not fit; see `nvidia-smi`"
            )
        )
    return found


def _gpus(gpus: tuple[Gpu, ...]) -> list[Finding]:
    if not gpus:
        return [Finding("ok", "gpu", "none is visible: the CPU engine serves")]
    found: list[Finding] = []
    for number, gpu in enumerate(gpus):
        room = f"GPU {number} {gpu.name}: {gpu.free_mib} of {gpu.total_mib} MiB free"
        if gpu.free_mib >= _GPU_SHARE_FREE * gpu.total_mib:
            found.append(Finding("ok", "gpu", room))
        else:
            holders = ", ".join(map(str, gpu.processes)) or "processes that cannot be seen from here"
            found.append(Finding("warn", "gpu", f"{room}, held by {holders}; choose another with --gpus"))
    return found


def _open_files(soft: int, hard: int) -> Finding:
    if soft >= _OPEN_FILES_WANTED:
        return Finding("ok", "open files", str(soft))
    if hard >= _OPEN_FILES_WANTED:
        return Finding("ok", "open files", f"{soft}, and SGLang may raise it to {hard}")
    return Finding(
        "warn",
        "open files",
        f"at most {hard}: thousands of connections need more; ask for LimitNOFILE={_OPEN_FILES_WANTED}",
    )


def _disk(facts: Inspection) -> Finding:
    room = f"{facts.cache_free_gib:.0f} GiB free in {facts.cache_dir}"
    engine = facts.engine
    needed = _ENGINE_GIB[engine.kind] if engine is not None and engine.origin == "own" and not engine.installed else 1
    if facts.cache_free_gib >= needed:
        return Finding("ok", "disk", room)
    return Finding("fail", "disk", f"{room}, and {needed} GiB are needed; set XDG_CACHE_HOME to a larger disk")


def _model(model: Model) -> Finding:
    if model.state == "here":
        return Finding("ok", "model", f"{model.label} is on this machine")
    if model.state == "to make":
        return Finding("ok", "model", f"{model.label} will be made at the first start")
    if model.gated and not model.has_token:
        return Finding(
            "fail", "model", f"{model.label} is gated and no hub token was found; accept its licence and set HF_TOKEN"
        )
    return Finding(
        "warn", "model", f"{model.label} is not in the hub's cache; `ets-server fetch {model.label}` gets it"
    )
