"""What a reply with an error status means. SGLang has eight shapes of error bodies; all are read here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from pydantic_core import from_json

from ..errors import FailureKind

__all__ = ["Fault", "failure_kind", "read_fault"]

_MOST_BODY = 4096
_MOST_MESSAGE = 1000  # FastAPI's validation errors quote the request
_BUSY = frozenset({408, 425, 429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Fault:
    """An error reply, understood.

    Attributes:
        kind: what it means for the caller.
        message: the server's words.
        body: the beginning of the body.
    """

    kind: FailureKind
    message: str
    body: str


def read_fault(status: int, body: bytes) -> Fault:
    """Understand a reply whose status is not 2xx.

    Args:
        status: its HTTP status.
        body: its body, of any shape.
    """
    text = body[:_MOST_BODY].decode(errors="replace")
    message = _message(body) or text.strip() or "no explanation"
    shown = message if len(message) <= _MOST_MESSAGE else f"{message[:_MOST_MESSAGE]}…"
    return Fault(failure_kind(status, message), shown, text)


def failure_kind(status: int, message: str) -> FailureKind:
    """What an error status means for the caller.

    Args:
        status: HTTP status, or the one that an abort carries.
        message: the server's words.
    """
    if status in {401, 403}:
        return FailureKind.AUTHENTICATION
    if status in _BUSY:
        # "priority is disabled" is a 503 too, but no waiting mends it.
        return FailureKind.REJECTED if "priority" in message and "disabled" in message else FailureKind.BUSY
    if status >= 500:
        return FailureKind.CRASH if message == "Internal Server Error" else FailureKind.FAULT
    return FailureKind.REJECTED


def _message(body: bytes) -> str:
    try:
        data = from_json(body)
    except ValueError:
        return ""
    if not isinstance(data, dict):
        return ""
    fields = cast("dict[str, object]", data)
    error = fields.get("error")
    if isinstance(error, dict):
        error = cast("dict[str, object]", error).get("message")
    for found in (error, fields.get("message"), fields.get("detail")):
        if isinstance(found, str) and found:
            return found
    return ""
