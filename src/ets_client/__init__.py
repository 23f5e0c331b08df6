"""The asyncio client for LLM tree search on SGLang."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .branch import Branch, EndReason, Expansion, SampleFailure
    from .client import AsyncPolicyClient
    from .connected import ClientOptions
    from .effective_sampling import EffectiveField, EffectiveSampling, SamplingSource
    from .endpoint import Endpoint
    from .errors import (
        Attempt,
        AuthenticationError,
        ConfigurationError,
        DeadlineExceededError,
        EtsClientError,
        FailureKind,
        InvalidRequestError,
        PrunedError,
        RequestError,
        RequestRejectedError,
        ServerBusyError,
        ServerFaultError,
        ServerUnreachableError,
        TreeClosedError,
        UnsupportedError,
    )
    from .ledger import Ledger, LedgerRow
    from .logprobs import LogprobOptions, Logprobs
    from .prefix import Origin, Prefix
    from .profiles import Finding, Profile, ProfileReport, Severity, TokenizedText, list_profiles, load_profile
    from .retry import RetryPolicy
    from .sampling import SamplingParams, SeedIgnoredWarning
    from .scores import LabelChoice, LabelProbs, RewardScore, ScoreFailure
    from .server_info import ModelInfo, ServerInfo, ServerMetrics, WorkerLoad
    from .stats import ClientStats, ReuseShortfallWarning, ServerState
    from .streams import BranchStream, Delta, TextStream
    from .sync_streams import SyncBranchStream, SyncTextStream
    from .sync_tree import SyncTree
    from .threads import PolicyClient
    from .tokenizer_check import check_tokenizer
    from .tree import Tree
    from .usage import Usage

__version__ = "0.1.0"

__all__ = [
    "AsyncPolicyClient",
    "Attempt",
    "AuthenticationError",
    "Branch",
    "BranchStream",
    "ClientOptions",
    "ClientStats",
    "ConfigurationError",
    "DeadlineExceededError",
    "Delta",
    "EffectiveField",
    "EffectiveSampling",
    "EndReason",
    "Endpoint",
    "EtsClientError",
    "Expansion",
    "FailureKind",
    "Finding",
    "InvalidRequestError",
    "LabelChoice",
    "LabelProbs",
    "Ledger",
    "LedgerRow",
    "LogprobOptions",
    "Logprobs",
    "ModelInfo",
    "Origin",
    "PolicyClient",
    "Prefix",
    "Profile",
    "ProfileReport",
    "PrunedError",
    "RequestError",
    "RequestRejectedError",
    "RetryPolicy",
    "ReuseShortfallWarning",
    "RewardScore",
    "SampleFailure",
    "SamplingParams",
    "SamplingSource",
    "ScoreFailure",
    "SeedIgnoredWarning",
    "ServerBusyError",
    "ServerFaultError",
    "ServerInfo",
    "ServerMetrics",
    "ServerState",
    "ServerUnreachableError",
    "Severity",
    "SyncBranchStream",
    "SyncTextStream",
    "SyncTree",
    "TextStream",
    "TokenizedText",
    "Tree",
    "TreeClosedError",
    "UnsupportedError",
    "Usage",
    "WorkerLoad",
    "check_tokenizer",
    "list_profiles",
    "load_profile",
]

# Names are loaded when they are first used: asyncio and pydantic alone take 0.11 s (benchmarks/import_time.py), and a
# program that wants a profile or an endpoint needs no client.
_NAMES_OF = {
    "branch": "Branch EndReason Expansion SampleFailure",
    "client": "AsyncPolicyClient",
    "connected": "ClientOptions",
    "effective_sampling": "EffectiveField EffectiveSampling SamplingSource",
    "endpoint": "Endpoint",
    "errors": """
        Attempt AuthenticationError ConfigurationError DeadlineExceededError EtsClientError
        FailureKind InvalidRequestError PrunedError RequestError RequestRejectedError ServerBusyError
        ServerFaultError ServerUnreachableError TreeClosedError UnsupportedError
    """,
    "ledger": "Ledger LedgerRow",
    "logprobs": "LogprobOptions Logprobs",
    "prefix": "Origin Prefix",
    "profiles": "Finding Profile ProfileReport Severity TokenizedText list_profiles load_profile",
    "retry": "RetryPolicy",
    "sampling": "SamplingParams SeedIgnoredWarning",
    "scores": "LabelChoice LabelProbs RewardScore ScoreFailure",
    "server_info": "ModelInfo ServerInfo ServerMetrics WorkerLoad",
    "stats": "ClientStats ReuseShortfallWarning ServerState",
    "streams": "BranchStream Delta TextStream",
    "sync_streams": "SyncBranchStream SyncTextStream",
    "sync_tree": "SyncTree",
    "threads": "PolicyClient",
    "tokenizer_check": "check_tokenizer",
    "tree": "Tree",
    "usage": "Usage",
}
_MODULE_OF = {name: module for module, names in _NAMES_OF.items() for name in names.split()}

if not TYPE_CHECKING:  # type checkers see the imports above, and that a name is not among them

    def __getattr__(name: str) -> object:
        module = _MODULE_OF.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f".{module}", __name__), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
