"""The JSON body of a request. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from .errors import broken_json, invalid
from .shapes import is_object

if TYPE_CHECKING:
    from .exchange import Exchange

__all__ = ["fields_of"]


def fields_of(exchange: Exchange, route: str, *, needs_json: bool = False) -> dict[str, Any]:
    """The fields of a body.

    Args:
        exchange: the request.
        route: its method and path.
        needs_json: the endpoint looks at the content type.

    Raises:
        RejectedError: it is no JSON object.
    """
    kind = exchange.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if needs_json and kind != b"application/json":
        message = "Unsupported Media Type: Only 'application/json' is allowed"
        raise invalid("value_error", ("header", "content-type"), message, kind.decode("latin-1"), route)
    if not exchange.body:
        raise invalid("missing", ("body",), "Field required", None, route)
    try:
        given = from_json(exchange.body) if kind == b"application/json" else exchange.body
    except ValueError:
        raise broken_json(exchange.body, route) from None
    if not is_object(given):
        raise invalid("dict_type", ("body",), "Input should be a valid dictionary", str(given)[:200], route)
    return given
