"""The JSON types of the fields of ``/generate``, as FastAPI checks them. Pure."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

from .errors import Mistake, invalid, invalid_all
from .shapes import is_list

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["check_types"]

_TEXTS = ("text", "rid", "extra_key", "cache_salt")
_FLAGS = ("stream", "return_prompt_token_ids")
_NUMBERS = ("priority", "routed_dp_rank")


def check_types(fields: dict[str, Any], route: str, *, has_wide_integers: bool) -> None:
    """Check those fields that the fake knows.

    Args:
        fields: the JSON body.
        route: method and path.
        has_wide_integers: Python's JSON keeps integers of any size; orjson makes floats of those over 64 bits.

    Raises:
        RejectedError: 400, of the first field that has another type.
    """
    for name in _TEXTS:
        mistakes = list(_mistakes_of_text(name, fields.get(name)))
        if mistakes:
            raise invalid_all(mistakes, route)
    complaint = _complaint_of_ids(fields.get("input_ids"), has_wide_integers=has_wide_integers)
    if complaint is not None:
        message = f"Value error, {complaint}"
        raise invalid("value_error", ("body", "input_ids"), message, fields["input_ids"], route)
    for name in _FLAGS:
        value = fields.get(name, False)
        if not _is_flag(value):
            kind, more = "bool_type", ""
            if isinstance(value, str | int):
                kind, more = "bool_parsing", ", unable to interpret input"
            raise invalid(kind, ("body", name), f"Input should be a valid boolean{more}", value, route)
    for name in _NUMBERS:
        value = fields.get(name)
        if value is not None and not _is_integer(value):
            raise invalid("int_type", ("body", name), "Input should be a valid integer", value, route)
    params = fields.get("sampling_params")
    if params is not None and not isinstance(params, dict | list):
        message = "Input should be a valid dictionary or list"
        raise invalid("value_error", ("body", "sampling_params"), message, params, route)


def _mistakes_of_text(name: str, value: Any) -> Iterator[Mistake]:
    if value is None or isinstance(value, str):
        return
    where = ("body", name, "list[str]")
    odd = [place for place, each in enumerate(value) if not isinstance(each, str)] if is_list(value) else []
    if is_list(value) and not odd:
        return
    yield Mistake("string_type", ("body", name, "str"), "Input should be a valid string", value)
    if not is_list(value):
        yield Mistake("list_type", where, "Input should be a valid list", value)
    for place in odd:
        yield Mistake("string_type", (*where, place), "Input should be a valid string", value[place])


def _complaint_of_ids(value: Any, *, has_wide_integers: bool) -> str | None:
    """SGLang's own check (``utils/field_validators.py``): one list of integers, or several."""
    if value is None or value == []:
        return None
    if not is_list(value):
        return f"must be list or null; got {type(value).__name__}"
    if isinstance(value[0], int):
        return _complaint_of_row(value, has_wide_integers=has_wide_integers)
    if not is_list(value[0]):
        return f"elements must be int or list; got {type(value[0]).__name__}"
    for place, row in enumerate(value):
        complaint = _complaint_of_row(row, has_wide_integers=has_wide_integers)
        if complaint is not None:
            return f"row {place}: {complaint}"
    return None


def _complaint_of_row(row: Any, *, has_wide_integers: bool) -> str | None:
    if row is None:
        return "must not be None"
    if not is_list(row):
        return f"must be list; got {type(row).__name__}"
    if row and not isinstance(row[0], int):
        return f"elements must be int; got {type(row[0]).__name__}"
    try:
        array("q", row if has_wide_integers else [float(each) if _is_wide(each) else each for each in row])
    except (TypeError, OverflowError) as error:
        return f"contains non-int64 element: {error}"
    return None


def _is_wide(value: Any) -> bool:
    return isinstance(value, int) and not -(1 << 63) <= value < 1 << 64


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool) or value in (0, 1, "true", "false")


def _is_integer(value: Any) -> bool:
    if isinstance(value, str):
        return value.lstrip("-").isdigit()
    return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
