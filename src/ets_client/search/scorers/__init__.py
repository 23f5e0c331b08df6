"""Who scores the paths of a search."""

from .batching import MicroBatcher
from .calling import CallableScorer
from .consistency import SelfConsistency
from .formats import RewardFormat, list_reward_formats, load_reward_format
from .logprob import LogProb
from .reward_server import RewardServer
from .scorer import PathScore, ScoredPath, Scorer

__all__ = [
    "CallableScorer",
    "LogProb",
    "MicroBatcher",
    "PathScore",
    "RewardFormat",
    "RewardServer",
    "ScoredPath",
    "Scorer",
    "SelfConsistency",
    "list_reward_formats",
    "load_reward_format",
]
