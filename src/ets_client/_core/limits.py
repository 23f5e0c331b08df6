"""How many tokens a step may have, and which limit it is that stops it."""

from __future__ import annotations

from typing import Literal

from .._record import Record

__all__ = ["StepLimit", "step_limit"]

_RESERVED = 2  # SGLang clips to min(context, KV pool) - 1 - prompt - 1, silently (managers/scheduler.py)
_NO_BOUND = 1 << 62


class StepLimit(Record, frozen=True):
    """The most tokens of a step.

    Attributes:
        tokens: how many; 0 or less when there is no room at all.
        bound: what a step that reaches it has run into; the path when it is both.
    """

    tokens: int
    bound: Literal["step", "path"]


def step_limit(
    step_tokens: int | None, path_room: int | None, prompt_tokens: int, window_tokens: int | None
) -> StepLimit:
    """Decide ``max_new_tokens`` of a step. One of the limits has to be given.

    Args:
        step_tokens: longest step that was asked for, or None for the rest of the path.
        path_room: tokens that the path may still grow by, or None for no limit.
        prompt_tokens: length of the prompt.
        window_tokens: tokens of prompt and output that the server holds for one request, or None when it is not told.
    """
    room = _NO_BOUND if path_room is None else path_room
    if window_tokens is not None:
        room = min(room, window_tokens - prompt_tokens - _RESERVED)
    if step_tokens is not None and step_tokens < room:
        return StepLimit(step_tokens, "step")
    return StepLimit(room, "path")
