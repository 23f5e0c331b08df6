"""The asyncio client for LLM tree search on SGLang."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .branch import Branch, EndReason, Expansion, Logprobs, Usage
    from .client import AsyncPolicyClient
    from .connected import ClientOptions
    from .endpoint import Endpoint
    from .errors import (
        Attempt,
        AuthenticationError,
        ConfigurationError,
        DeadlineExceededError,
        EtsClientError,
        FailureKind,
        InvalidRequestError,
        RequestError,
        RequestRejectedError,
        ServerBusyError,
        ServerFaultError,
        ServerUnreachableError,
    )
    from .prefix import Origin, Prefix
    from .profiles import Profile, list_profiles, load_profile
    from .retry import RetryPolicy
    from .sampling import SamplingParams
    from .scores import LabelProbs, ScoreFailure
    from .server_info import ModelInfo, ServerInfo, ServerMetrics, WorkerLoad
    from .streams import BranchStream, Delta, TextStream
    from .sync_streams import SyncBranchStream, SyncTextStream
    from .threads import PolicyClient

__version__ = "0.1.0"

__all__ = [
    "AsyncPolicyClient",
    "Attempt",
    "AuthenticationError",
    "Branch",
    "BranchStream",
    "ClientOptions",
    "ConfigurationError",
    "DeadlineExceededError",
    "Delta",
    "EndReason",
    "Endpoint",
    "EtsClientError",
    "Expansion",
    "FailureKind",
    "InvalidRequestError",
    "LabelProbs",
    "Logprobs",
    "ModelInfo",
    "Origin",
    "PolicyClient",
    "Prefix",
    "Profile",
    "RequestError",
    "RequestRejectedError",
    "RetryPolicy",
    "SamplingParams",
    "ScoreFailure",
    "ServerBusyError",
    "ServerFaultError",
    "ServerInfo",
    "ServerMetrics",
    "ServerUnreachableError",
    "SyncBranchStream",
    "SyncTextStream",
    "TextStream",
    "Usage",
    "WorkerLoad",
    "list_profiles",
    "load_profile",
]

# Names are loaded when they are first used: asyncio and pydantic alone take 0.11 s (benchmarks/import_time.py), and a
# program that wants a profile or an endpoint needs no client.
_NAMES_OF = {
    "branch": (
        "Branch",
        "EndReason",
        "Expansion",
        "Logprobs",
        "Usage",
    ),
    "client": ("AsyncPolicyClient",),
    "connected": ("ClientOptions",),
    "endpoint": ("Endpoint",),
    "errors": (
        "Attempt",
        "AuthenticationError",
        "ConfigurationError",
        "DeadlineExceededError",
        "EtsClientError",
        "FailureKind",
        "InvalidRequestError",
        "RequestError",
        "RequestRejectedError",
        "ServerBusyError",
        "ServerFaultError",
        "ServerUnreachableError",
    ),
    "prefix": (
        "Origin",
        "Prefix",
    ),
    "profiles": (
        "Profile",
        "list_profiles",
        "load_profile",
    ),
    "retry": ("RetryPolicy",),
    "sampling": ("SamplingParams",),
    "scores": (
        "LabelProbs",
        "ScoreFailure",
    ),
    "server_info": (
        "ModelInfo",
        "ServerInfo",
        "ServerMetrics",
        "WorkerLoad",
    ),
    "streams": (
        "BranchStream",
        "Delta",
        "TextStream",
    ),
    "sync_streams": (
        "SyncBranchStream",
        "SyncTextStream",
    ),
    "threads": ("PolicyClient",),
}
_MODULE_OF = {name: module for module, names in _NAMES_OF.items() for name in names}

if not TYPE_CHECKING:  # type checkers see the imports above, and that a name is not among them

    def __getattr__(name: str) -> object:
        module = _MODULE_OF.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f".{module}", __name__), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
