from __future__ import annotations

import math
from typing import TYPE_CHECKING
from zlib import crc32

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client.search.journal import DecisionEntry, ScoresEntry, as_recorded
from ets_client.search.journal.codec import DamagedLineError, check_line, decode_line, encode_line

from .lines import ENTRY, journal, steps

if TYPE_CHECKING:
    from ets_client.search.journal import Entry


@given(ENTRY)
def test_an_entry_comes_back_as_it_was(entry: Entry) -> None:
    line = encode_line(entry)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode_line(line[:-1]) == entry == as_recorded(entry)


@given(ENTRY)
def test_every_truncation_of_a_line_is_recognised(entry: Entry) -> None:
    line = encode_line(entry)[:-1]
    for length in range(len(line)):
        with pytest.raises(DamagedLineError):
            decode_line(line[:length])


@given(ENTRY, st.integers(1, 255))
def test_every_flipped_byte_of_a_line_is_recognised(entry: Entry, flip: int) -> None:
    line = encode_line(entry)[:-1]
    for place in range(len(line)):
        damaged = bytearray(line)
        damaged[place] ^= flip
        with pytest.raises(DamagedLineError):
            check_line(bytes(damaged))


@given(ENTRY, ENTRY)
def test_two_lines_whose_newline_is_lost_are_one_damaged_line(one: Entry, two: Entry) -> None:
    with pytest.raises(DamagedLineError):
        decode_line(journal([one, two])[:-1].replace(b"\n", b" "))


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_a_number_that_json_cannot_hold_is_refused_and_its_place_named(value: float) -> None:
    with pytest.raises(ValueError, match=r"values\[1\] holds"):
        encode_line(ScoresEntry(0, ["r.0", "r.1"], [1.0, value]))
    with pytest.raises(ValueError, match=r"memory\['best'\]\[0\] holds"):
        encode_line(DecisionEntry(0, 0, 0, [], memory={"best": (value,)}))
    with pytest.raises(ValueError, match=r"notes\['objective'\] holds"):
        encode_line(DecisionEntry(0, 0, 0, [], notes={"objective": value}))


def test_what_a_search_goes_on_with_is_what_a_later_session_reads() -> None:
    made = DecisionEntry(0, 0, 0, [("r", 2)], memory={"seen": (1, 2), "by": {3: "x"}})
    kept = as_recorded(made)
    assert kept.memory == {"seen": [1, 2], "by": {"3": "x"}}
    assert decode_line(encode_line(made)[:-1]) == kept == as_recorded(kept)


def test_an_intact_line_of_an_unknown_kind_is_no_damage() -> None:
    line = encode_line(steps("r", "a"))[9:].replace(b'"steps"', b'"never"', 1)[:-1]
    with pytest.raises(msgspec.ValidationError, match="never"):
        decode_line(b"%08x " % crc32(line) + line)
