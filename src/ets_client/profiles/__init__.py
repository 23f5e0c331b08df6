"""Model profiles: what a client must know of a model besides its address. One YAML file each."""

from .load import list_profiles, load_profile
from .schema import (
    Answer,
    ChatPrompt,
    CompletionPrompt,
    GGUFPackageSource,
    HubSource,
    LabelScoring,
    MeanHeadScoring,
    ModelSpec,
    PathSource,
    Profile,
    RandomSource,
    RewardSpec,
    ServerChatPrompt,
    Serving,
    Shot,
    Steps,
    Turn,
)

__all__ = [
    "Answer",
    "ChatPrompt",
    "CompletionPrompt",
    "GGUFPackageSource",
    "HubSource",
    "LabelScoring",
    "MeanHeadScoring",
    "ModelSpec",
    "PathSource",
    "Profile",
    "RandomSource",
    "RewardSpec",
    "ServerChatPrompt",
    "Serving",
    "Shot",
    "Steps",
    "Turn",
    "list_profiles",
    "load_profile",
]
