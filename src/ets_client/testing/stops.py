"""When a sample ends, and its text then. Sources: ``schedule_batch.py``, ``detokenizer_manager.py``. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .dialect import Dialect
    from .sampling import Sampling
    from .tokenizer import Tokenizer

__all__ = ["ABORTED", "Finish", "ends_like_a_stop", "find_finish", "queue_abort", "text_of"]


@dataclass(frozen=True, slots=True)
class Finish:
    """Why a sample ended.

    Attributes:
        reason: ``meta_info.finish_reason``.
        matched: the stop that was met: text, or a token id; None otherwise.
        length: tokens of the output that count.
        status: HTTP status that SGLang makes of it, when it is a failure.
    """

    reason: dict[str, Any]
    matched: str | int | None = None
    length: int | None = None
    status: int | None = None

    @property
    def message(self) -> str:
        """What SGLang says about an abort."""
        return str(self.reason.get("message", ""))


ABORTED = Finish({"type": "abort", "message": "Aborted", "status_code": None, "err_type": None})


def queue_abort(message: str = "Abort in waiting queue", status: int | None = None) -> Finish:
    """The end of a sample that never ran."""
    reason: dict[str, Any] = {"type": "abort", "message": message}
    if status is not None:
        reason = {"type": "abort", "status_code": status, "message": message}
    return Finish(reason, status=status)


def find_finish(
    output: Sequence[int], most: int, sampling: Sampling, tokenizer: Tokenizer, dialect: Dialect
) -> Finish | None:
    """Whether a sample ends with its newest token.

    Args:
        output: its tokens, the newest last.
        most: tokens that it may have.
        sampling: its stops.
        tokenizer: the server's.
        dialect: the version decides which end wins when several come at once.
    """
    length = Finish({"type": "length", "length": most}, length=most) if len(output) >= most else None
    if most == 0:
        return length
    if dialect.length_wins:
        return length or _token(output, sampling, tokenizer) or _text(output, sampling, tokenizer)
    return _text(output, sampling, tokenizer) or _token(output, sampling, tokenizer) or length


def _token(output: Sequence[int], sampling: Sampling, tokenizer: Tokenizer) -> Finish | None:
    if sampling.ignore_eos:
        return None
    token = output[-1]
    if token != tokenizer.eos_token_id and token not in sampling.stop_token_ids:
        return None
    return Finish({"type": "stop", "matched": token}, matched=token, length=len(output))


def _text(output: Sequence[int], sampling: Sampling, tokenizer: Tokenizer) -> Finish | None:
    if not sampling.stop and not sampling.stop_regex:
        return None
    tail = tokenizer.decode(output[-(sampling.stop_window + 1) :])
    for stop in sampling.stop:
        if stop in tail:
            return Finish({"type": "stop", "matched": stop}, matched=stop, length=len(output))
    for pattern in sampling.stop_regex:
        if re.search(pattern, tail):
            return Finish({"type": "stop", "matched": pattern}, matched=pattern, length=len(output))
    return None


def text_of(
    output: Sequence[int], finish: Finish | None, sampling: Sampling, tokenizer: Tokenizer, dialect: Dialect
) -> str:
    """The text of a reply: without its stop, unless ``no_stop_trim``.

    A stop string is cut at its first place in the whole text. A pattern is looked for as if it were a string, as SGLang
    does, so a match of it stays.

    Args:
        output: the tokens.
        finish: how it ended, or None while it goes on.
        sampling: what to hide and what to keep.
        tokenizer: the server's.
        dialect: the version decides what an empty stop cuts.
    """
    matched = finish.matched if finish is not None else None
    ids = output[:-1] if isinstance(matched, int) and not sampling.no_stop_trim else output
    text = tokenizer.decode(ids, skip_special_tokens=sampling.skip_special_tokens)
    if isinstance(matched, str) and (matched or dialect.empty_stop_cuts):
        place = text.find(matched)
        if place >= 0:
            return text[: place + len(matched)] if sampling.no_stop_trim else text[:place]
    return text


def ends_like_a_stop(output: Sequence[int], sampling: Sampling, tokenizer: Tokenizer) -> bool:
    """Whether the text may be inside a stop string, so that a stream holds it back."""
    if not sampling.stop:
        return False
    tail = tokenizer.decode(output[-(sampling.stop_window + 1) :])
    return any(stop in tail or _overlaps(tail, stop) for stop in sampling.stop if stop)


def _overlaps(tail: str, stop: str) -> bool:
    return any(tail.endswith(stop[:size]) for size in range(1, min(len(tail), len(stop)) + 1))
