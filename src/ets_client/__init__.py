"""The asyncio client for LLM tree search on SGLang."""

from .branch import Branch, EndReason, Expansion, Logprobs, Usage
from .client import AsyncPolicyClient, ClientOptions
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
from .server_info import ServerInfo, ServerMetrics

__version__ = "0.1.0"

__all__ = [
    "AsyncPolicyClient",
    "Attempt",
    "AuthenticationError",
    "Branch",
    "ClientOptions",
    "ConfigurationError",
    "DeadlineExceededError",
    "EndReason",
    "Endpoint",
    "EtsClientError",
    "Expansion",
    "FailureKind",
    "InvalidRequestError",
    "Logprobs",
    "Origin",
    "Prefix",
    "Profile",
    "RequestError",
    "RequestRejectedError",
    "RetryPolicy",
    "SamplingParams",
    "ServerBusyError",
    "ServerFaultError",
    "ServerInfo",
    "ServerMetrics",
    "ServerUnreachableError",
    "Usage",
    "list_profiles",
    "load_profile",
]
