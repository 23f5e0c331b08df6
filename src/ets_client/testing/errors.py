"""The shapes of SGLang's error replies. Pure."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import to_json

__all__ = ["RejectedError", "broken_json", "http_error", "invalid", "plain_error", "stream_error", "value_error"]


class RejectedError(Exception):
    """A reply with an error, decided before anything else is done."""

    def __init__(self, status: int, body: bytes, *, listed: bytes | None = None) -> None:
        """Make it.

        Args:
            status: of the reply.
            body: of the reply.
            listed: body of the versions that answer with the bare list of what is wrong; None for the same.
        """
        super().__init__(f"{status}: {body[:200]!r}")
        self.status = status
        self.body = body
        self.listed = body if listed is None else listed


def value_error(message: str) -> bytes:
    """Body of a ``ValueError`` in a native route (400)."""
    return to_json({"error": {"message": message}})


def plain_error(message: str) -> bytes:
    """Body of 0.5.23's gate (400) and of a missing key (401): ``error`` is a string."""
    return to_json({"error": message})


def http_error(status: int, message: str, kind: str | None = None) -> bytes:
    """Body of an ``HTTPException``: a full queue, a time limit, a failure of the scheduler."""
    return to_json({"object": "error", "message": message, "type": kind or str(status), "param": None, "code": status})


def invalid(kind: str, where: tuple[str | int, ...], message: str, given: Any, route: str) -> RejectedError:
    """The 400 of FastAPI's validation.

    Args:
        kind: pydantic's name of the mistake.
        where: the field.
        message: pydantic's words.
        given: what was sent there.
        route: method and path.
    """
    shown = {"type": kind, "loc": where, "msg": message, "input": given}
    text = f"1 validation error:\n  {shown}\n\n  {route} [{shown}]"
    return RejectedError(400, http_error(400, text, "Bad Request"), listed=http_error(400, f"[{shown}]", "Bad Request"))


def broken_json(body: bytes, route: str) -> RejectedError:
    """The 400 of a body that is no JSON, with the place where it goes wrong.

    Args:
        body: what was sent.
        route: method and path.
    """
    place, why = 0, "invalid JSON"
    try:
        json.loads(body)
    except json.JSONDecodeError as error:
        place, why = error.pos, error.msg
    except ValueError as error:
        why = str(error)
    return invalid("json_invalid", ("body", place), "JSON decode error", {"error": why}, route)


def stream_error(message: str) -> bytes:
    """Data of the event in which a stream tells a refusal."""
    error = {"message": message, "type": "invalid_request_error", "code": 400, "retryable": False}
    return to_json({"error": error})
