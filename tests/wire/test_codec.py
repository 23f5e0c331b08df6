from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.json import Decoder

from ets_client._wire.broken import BrokenReplyError
from ets_client._wire.codec import read_json, to_json

SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text()
FINITE = SCALARS.filter(lambda value: not isinstance(value, float) or abs(value) < float("inf"))
JSON = st.recursive(FINITE, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))


class Point(Struct):
    x: int
    inner: list[int] | None = None


POINT = Decoder(Point)


@given(JSON)
def test_what_is_written_is_what_the_standard_library_reads(value: Any) -> None:
    assert json.loads(to_json(value)) == value


def test_fields_that_nobody_knows_are_passed_over() -> None:
    assert read_json(POINT, b'{"new": {"x": [1, 2.5, null]}, "x": 3}') == Point(3)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body: "),
        (b"\xff", "the body: "),
        (b"[1]", "the body: Expected `object`, got `array`"),
        (b'{"x": 1} {', "the body: "),
        (b'{"x": true}', "x: Expected `int`, got `bool`"),
        (b'{"x": 1, "inner": [1, "2"]}', "inner[1]: Expected `int`, got `str`"),
        (b'{"y": ' + b"[" * 100_000, "the body: it is nested too deeply"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(body: bytes, message: str) -> None:
    with pytest.raises(BrokenReplyError) as caught:
        read_json(POINT, body)
    assert str(caught.value).startswith(message)


def test_text_that_is_not_utf_8_is_told_too() -> None:
    with pytest.raises(BrokenReplyError, match="utf-8"):
        read_json(Decoder(list[str]), b'["\xff"]')


@given(st.binary())
def test_whatever_comes_is_read_or_broken(body: bytes) -> None:
    try:
        point = read_json(POINT, body)
    except BrokenReplyError:
        return
    assert json.loads(body)["x"] == point.x
