"""Why a start failed, read from the server's log. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["StartFacts", "cause_of", "is_hopeless", "last_lines"]

_NOISE = re.compile(
    r"Ignore import error when loading|UserWarning|warnings\.warn|FutureWarning|DeprecationWarning|^\s*$|Completed \|"
)
_HOPELESS = re.compile(r"error while attempting to bind on address|Errno 98\] Address already in use")


@dataclass(frozen=True, slots=True)
class StartFacts:
    """What is known of a start besides its log.

    Attributes:
        model: what SGLang was told to serve.
        port: where it was to listen.
        has_token: whether the user's hub token was at hand.
    """

    model: str
    port: int
    has_token: bool


class _Known:
    """A pattern of the log, and what it means for the user."""

    def __init__(self, pattern: str, message: str) -> None:
        self.pattern = re.compile(pattern)
        self.message = message


def cause_of(log: str, facts: StartFacts) -> str | None:
    """One line that names the cause and the mend, or None when the log shows none that is known.

    Args:
        log: the whole log.
        facts: what else is known.
    """
    for known in _KNOWN:
        if match := known.pattern.search(log):
            message = _NOT_YOURS if known.message is _GATED and facts.has_token else known.message
            details = {name: text.strip() for name, text in match.groupdict("").items()}
            return message.format(model=facts.model, port=facts.port, **details)
    return None


def is_hopeless(log: str) -> bool:
    """Whether the server has failed and yet keeps running, as SGLang 0.5.18 does when its port is taken."""
    return _HOPELESS.search(log) is not None


def last_lines(log: str, count: int) -> tuple[str, ...]:
    """The last lines of a log that say something, shortened to a readable length."""
    lines = [line.rstrip()[-400:] for line in log.replace("\r", "\n").splitlines() if not _NOISE.search(line)]
    return tuple(lines[-count:])


_GATED = (
    "the model {model} is gated and no hub token was found: accept its licence on the hub, then set HF_TOKEN or log in "
    "with `hf auth login`"
)
_NOT_YOURS = (
    "the model {model} is gated and your hub token may not read it: accept its licence on the hub with that account"
)

_KNOWN = (  # the more specific first: one failure causes others
    _Known(
        r"(?i)address already in use|Errno 98\b|port\D{0,10}\d*\s*is (?:already in use|not available)"
        r"|error while attempting to bind",
        "port {port} was taken by another program; choose another with --port, or --port auto",
    ),
    _Known(
        r"GatedRepoError|gated repo|Access to model .* is restricted",
        _GATED,
    ),
    _Known(
        r"RepositoryNotFoundError|is not a local folder and is not a valid model identifier",
        "there is no model {model} on the hub that you may see: check the id, and HF_TOKEN if it is private",
    ),
    _Known(
        r"RevisionNotFoundError|is not a valid git identifier",
        "the model {model} has no such revision; check what stands after the @",
    ),
    _Known(
        r"couldn't connect to '|Failed to resolve|Name or service not known|Temporary failure in name resolution"
        r"|Network is unreachable|LocalEntryNotFoundError|OfflineModeIsEnabled|outgoing traffic has been disabled",
        "the model {model} is not on this machine and the hub cannot be reached from here; run "
        "`ets-server fetch {model}` where there is internet, with the same HF_HOME",
    ),
    _Known(
        r"Repo id must be in the form|does not appear to have a file named config\.json"
        r"|No such file or directory: '[^']*config\.json'",
        "there is no model in {model}: the folder is missing or holds no config.json",
    ),
    _Known(
        r"Cannot find any model weights|Error no file named (?:pytorch_model|model\.safetensors)",
        "the folder {model} holds no weights; copy or download it again",
    ),
    _Known(
        r"(?:Cuda|CUDA|Torch\w*|torch)[.\w]*OutOfMemoryError|CUDA out of memory|CUDA error: out of memory"
        r"|Not enough memory\. Please try|leave no GPU memory for the KV cache"
        r"|cudaErrorMemoryAllocation|Loading weights.*out of memory",
        "the GPU memory does not suffice for {model}: lower --mem-fraction-static if graphs or activations failed, "
        "raise it if the KV cache did, or use more GPUs with --tp",
    ),
    _Known(
        r"No CUDA GPUs are available|Found no NVIDIA driver|no CUDA-capable device"
        r"|CUDA driver version is insufficient|No accelerator \(CUDA|Torch not compiled with CUDA enabled",
        "SGLang sees no usable GPU: check `nvidia-smi`, the driver's version and CUDA_VISIBLE_DEVICES",
    ),
    _Known(
        r"(?P<detail>invalid device ordinal)",
        "SGLang was told of more GPUs than it sees ({detail}): lower --tp and --dp, or name more with --gpus",
    ),
    _Known(
        r"(?P<count>\d+) is not divisible by (?P<size>\d+)",
        "the model {model} cannot be split so: {count} is not divisible by {size}; choose another --tp",
    ),
    _Known(
        r"No module named '?(?P<module>sglang[\w.]*)",
        "that Python has no package {module!r}: give --python one that has SGLang installed",
    ),
    _Known(
        r"(?m)^(?:ModuleNotFoundError|ImportError): No module named '(?P<module>[^']+)'",
        "the engine lacks the Python package {module!r}: mend that environment, or let ets-server build its own "
        "(no --python, no --launcher)",
    ),
    _Known(
        r"error: unrecognized arguments: (?P<arguments>[^\n]*)",
        "SGLang does not know the flags {arguments!r}; mend what stands after --",
    ),
    _Known(
        r"launch_server\S*: error: (?P<detail>[^\n]*)|(?:^|\n)\S+\.py: error: (?P<other>[^\n]*)",
        "SGLang refused its flags: {detail}{other}",
    ),
    _Known(
        r"No space left on device|Errno 28\b",
        "the disk is full; free some space (`ets-server preflight` shows where)",
    ),
    _Known(
        r"Too many open files|Errno 24\b",
        "the limit of open files is too low; raise it with `ulimit -n 65536`",
    ),
)
