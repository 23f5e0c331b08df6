"""When the server reuses less than it should: whether that is worth a word, and which."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..prefix import Prefix
    from .shadow import Reuse

__all__ = ["describe_shortfall", "is_large"]

_SHARE = 0.02
_LEAST_TOKENS = 1_000  # predicted; of fewer, a single sample is already more than the share
_CHARACTERS = 40  # of text, each side of the first token that was computed again


def is_large(predicted: int, shortfall: int) -> bool:
    """Whether more was computed again than can be overlooked.

    Args:
        predicted: tokens that should have been found in the cache so far.
        shortfall: of these, tokens that were computed nevertheless.
    """
    return predicted >= _LEAST_TOKENS and shortfall > _SHARE * predicted


def describe_shortfall(prefix: Prefix, reuse: Reuse, predicted: int, shortfall: int) -> str:
    """What happened, where the last prompt parted from what the server holds, and what to look for.

    Args:
        prefix: the last prompt that fell short.
        reuse: its prediction and what came of it.
        predicted: tokens that should have been found so far, in all.
        shortfall: of these, tokens that were computed nevertheless.
    """
    offset = reuse.reported or 0
    return (
        f"the server computed {shortfall:,} of {predicted:,} prompt tokens again that it should have had in its cache. "
        f"The last such prompt has {len(prefix)} tokens; {reuse.predicted} of them should have been there, and from "
        f"token {offset} on (near {_text_near(prefix, offset)!r}) they were not. Was the server flushed or started "
        "again by somebody else, or is its cache too small for all who use it?"
    )


def _text_near(prefix: Prefix, offset: int) -> str:
    """Some text around a token; only steps have a text of their own, so its place inside one is a guess."""
    node = next((node for node in prefix.path if len(node) > offset), prefix)
    tokens, text = len(node.step_token_ids), node.step_text
    at = len(text) * (offset - len(node) + tokens) // max(1, tokens)
    return text[max(0, at - _CHARACTERS) : at + _CHARACTERS]
