"""The asyncio client for LLM tree search on SGLang."""

from .branch import Branch, EndReason, Expansion, Usage
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
    RequestError,
    RequestRejectedError,
    ServerBusyError,
    ServerFaultError,
    ServerUnreachableError,
    UnsupportedError,
)
from .logprobs import LogprobOptions, Logprobs
from .prefix import Origin, Prefix
from .profiles import Finding, Profile, ProfileReport, Severity, TokenizedText, list_profiles, load_profile
from .retry import RetryPolicy
from .sampling import SamplingParams, SeedIgnoredWarning
from .scores import LabelProbs, RewardScore, ScoreFailure
from .server_info import ModelInfo, ServerInfo, ServerMetrics, WorkerLoad
from .stats import ClientStats, ServerState
from .streams import BranchStream, Delta, TextStream
from .tokenizer_check import check_tokenizer

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
    "LabelProbs",
    "LogprobOptions",
    "Logprobs",
    "ModelInfo",
    "Origin",
    "Prefix",
    "Profile",
    "ProfileReport",
    "RequestError",
    "RequestRejectedError",
    "RetryPolicy",
    "RewardScore",
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
    "TextStream",
    "TokenizedText",
    "UnsupportedError",
    "Usage",
    "WorkerLoad",
    "check_tokenizer",
    "list_profiles",
    "load_profile",
]
