"""Refuse calls that the served model cannot answer, before they leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from ..server_info import ServerInfo

__all__ = ["check_generates", "check_reward_head"]


def check_generates(info: ServerInfo) -> None:
    """Check that a server's model generates.

    SGLang 0.5.18 and 0.5.23 die of a ``/generate`` for one token or more to a model that does not (seen of both); with
    ``max_new_tokens`` 0 they answer with the head's outputs, which nobody who generates wants either.

    Args:
        info: the server's facts.

    Raises:
        ConfigurationError: it serves an embedding or reward model.
    """
    if not info.is_generation:
        raise ConfigurationError(
            f"this server serves {_model(info)}, which generates no text: connect to the policy's server"
            + (", or ask this one for reward_scores" if info.has_reward_head else "")
        )


def check_reward_head(info: ServerInfo) -> None:
    """Check that a server's model has a reward or classification head.

    Args:
        info: the server's facts.

    Raises:
        ConfigurationError: it serves a model of another kind; SGLang answers 400, or the embedding.
    """
    if not info.has_reward_head:
        kind = "a generation model" if info.is_generation else "an embedding model"
        raise ConfigurationError(
            f"this server serves {kind}, {_model(info)}, which has no reward head: start SGLang with a model for "
            "reward or sequence classification, or read a judge that answers in tokens by label_probs"
        )


def _model(info: ServerInfo) -> str:
    return f"{info.model_path} ({', '.join(info.architectures) or 'its architecture is not told'})"
