"""The shapes of SGLang's error replies. Pure."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

__all__ = [
    "Mistake",
    "RejectedError",
    "broken_json",
    "http_error",
    "invalid",
    "invalid_all",
    "plain_error",
    "stream_error",
    "value_error",
]


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


class Mistake(NamedTuple):
    """One complaint of FastAPI's validation.

    Attributes:
        kind: pydantic's name of the mistake.
        where: the field.
        message: pydantic's words.
        given: what was sent there.
    """

    kind: str
    where: tuple[str | int, ...]
    message: str
    given: Any


def invalid(kind: str, where: tuple[str | int, ...], message: str, given: Any, route: str) -> RejectedError:
    """The 400 of FastAPI's validation, for one :class:`Mistake`."""
    return invalid_all([Mistake(kind, where, message, given)], route)


def invalid_all(mistakes: list[Mistake], route: str) -> RejectedError:
    """The 400 of FastAPI's validation.

    Args:
        mistakes: all of them.
        route: method and path.
    """
    shown = [{"type": kind, "loc": where, "msg": message, "input": given} for kind, where, message, given in mistakes]
    lines = "".join(f"\n  {each}" for each in shown)
    errors = "error" if len(shown) == 1 else "errors"
    text = f"{len(shown)} validation {errors}:{lines}\n\n  {route} {shown}"
    return RejectedError(400, http_error(400, text, "Bad Request"), listed=http_error(400, str(shown), "Bad Request"))


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
    else:
        place, why = _place_of_nan(body)
    return invalid("json_invalid", ("body", place), "JSON decode error", {"error": why}, route)


def _place_of_nan(body: bytes) -> tuple[int, str]:
    """Where the first NaN or infinity stands, which Python's parser takes."""
    try:
        from_json(body, allow_inf_nan=False)
    except ValueError as error:
        found = re.search(r"line 1 column (\d+)", str(error))
        return (int(found[1]) - 1 if found else 0), str(error)
    return 0, "invalid JSON"


def stream_error(message: str) -> bytes:
    """Data of the event in which a stream tells a refusal."""
    error = {"message": message, "type": "invalid_request_error", "code": 400, "retryable": False}
    return to_json({"error": error})
