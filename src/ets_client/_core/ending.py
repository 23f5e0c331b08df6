"""How a step ended, from what the server said and what was asked; and which characters lie beyond the stop string."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..branch import EndReason

if TYPE_CHECKING:
    from .limits import StepLimit

__all__ = ["end_of_step", "overshoot_in", "surely_ends_at"]


def end_of_step(
    kind: str | None,
    matched: object,
    *,
    generated: int,
    limit: StepLimit,
    stop: tuple[str, ...],
    stop_regex: tuple[str, ...],
    stop_token_ids: tuple[int, ...],
) -> EndReason:
    """Classify SGLang's ``finish_reason`` (``managers/schedule_batch.py``).

    Args:
        kind: its ``type``.
        matched: its ``matched``.
        generated: tokens that came back.
        limit: the limit that was sent.
        stop: stop strings that were sent.
        stop_regex: patterns that were sent.
        stop_token_ids: stop tokens that were sent.
    """
    if kind == "length":
        clipped = generated < limit.tokens  # the server had less room than it told
        return EndReason.PATH_LENGTH if clipped or limit.bound == "path" else EndReason.STEP_LENGTH
    if kind == "abort":
        return EndReason.ABORTED
    if kind != "stop":
        return EndReason.UNKNOWN
    if isinstance(matched, int):
        return EndReason.STOP_TOKEN if matched in stop_token_ids else EndReason.EOS
    if matched in stop:
        return EndReason.DELIMITER
    if matched in stop_regex:
        return EndReason.STOP_REGEX
    return EndReason.FAILED if matched == "NaN happened" else EndReason.UNKNOWN


def surely_ends_at(stop: str, last_token: str) -> bool:
    """Whether a step that ``stop`` ended has nothing after it, judged by its last token's text alone."""
    return bool(last_token) and stop.endswith(last_token)


def overshoot_in(decoded: str, text: str, stop: str) -> str:
    """Characters after the stop string that ended a step.

    Args:
        decoded: the text of all the step's token ids.
        text: the step's text as the server trimmed it, before the stop string.
        stop: the stop string.

    Returns:
        What follows the stop string in ``decoded``; "" when the two texts do not fit together (special tokens that
        one of them leaves out).
    """
    # A decoder may drop or add a space in front of a step that it sees alone, so the cut is looked for near its place.
    place = decoded.find(stop, max(0, len(text) - 1))
    return decoded[place + len(stop) :] if place >= 0 else ""
