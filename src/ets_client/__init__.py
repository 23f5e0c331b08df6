"""The asyncio client for LLM tree search on SGLang."""

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
