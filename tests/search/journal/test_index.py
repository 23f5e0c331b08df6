from __future__ import annotations

import random
from typing import TYPE_CHECKING
from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st

from ets_client.search.journal import EndEntry, RunEntry
from ets_client.search.journal.codec import decode_line
from ets_client.search.journal.index import JournalIndex, JournalScan

from .lines import ENTRY, journal, question, steps

if TYPE_CHECKING:
    from ets_client.search.journal import Entry

ENTRIES: list[Entry] = [
    RunEntry(1, {"method": "rebase"}), question(0), question(1), steps("r", "a", "b"),
    steps("r", "ü\n", question=1), EndEntry(0, "2", "done", 1.5),
]  # fmt: skip
WHOLE = journal(ENTRIES)
ENDS = [len(journal(ENTRIES[: count + 1])) for count in range(len(ENTRIES))]


def scan(data: bytes, *pieces: int) -> JournalIndex:
    scanned = JournalScan()
    begin = 0
    for size in pieces:
        scanned.feed(data[begin : begin + size])
        begin += size
    scanned.feed(data[begin:])
    return scanned.finish()


def found(data: bytes, index: JournalIndex) -> list[Entry]:
    """All entries of an index, in the order of the file."""
    places = sorted(place for lines in [index.runs, *index.questions.values()] for place in lines)
    return [decode_line(data[offset : offset + length]) for offset, length in places]


def shape(index: JournalIndex) -> object:
    return (
        list(index.runs),
        {q: list(lines) for q, lines in index.questions.items()},
        index.size,
        index.cut,
        index.damaged,
    )


@given(st.lists(ENTRY, max_size=6), st.lists(st.integers(0, 90), max_size=9))
def test_the_pieces_in_which_a_journal_is_read_do_not_matter(entries: list[Entry], pieces: list[int]) -> None:
    data = journal(entries)
    index = scan(data, *pieces)
    assert shape(index) == shape(scan(data))
    assert found(data, index) == entries
    assert (index.size, index.cut, index.damaged) == (len(data), 0, None)
    for number, lines in index.questions.items():
        assert [decode_line(data[at : at + n]) for at, n in lines] == [
            e for e in entries if getattr(e, "question", None) == number
        ]
        assert len(lines) == len(list(lines))


def test_of_every_truncation_the_whole_lines_are_left() -> None:
    for size in range(len(WHOLE) + 1):
        index = scan(WHOLE[:size])
        whole = sum(end <= size for end in ENDS)
        assert found(WHOLE, index) == ENTRIES[:whole]
        assert index.size == (ENDS[whole - 1] if whole else 0)
        assert index.cut == (index.size != size)
        assert index.damaged is None


def test_every_flipped_byte_cuts_the_last_line_or_names_one_in_the_middle() -> None:
    rng = random.Random(3)
    for place in range(len(WHOLE)):
        damaged = bytearray(WHOLE)
        damaged[place] ^= rng.randrange(1, 256)
        line = sum(end <= place for end in ENDS)
        index = scan(bytes(damaged))
        assert found(WHOLE, index) == ENTRIES[:line], place
        # A lost newline joins two lines: those behind the next are good again.
        last = line == len(ENTRIES) - 1 or (place + 1 == ENDS[line] and line == len(ENTRIES) - 2)
        assert index.damaged == (None if last else line + 1), place
        assert index.size == (ENDS[line - 1] if line else 0)
        assert index.cut >= 1


def test_zeros_that_a_crash_of_the_machine_left_are_a_torn_line() -> None:
    index = scan(WHOLE + bytes(4096))
    assert (index.size, index.cut, index.damaged) == (len(WHOLE), 1, None)


def test_several_damaged_lines_at_the_end_are_all_cut() -> None:
    index = scan(WHOLE + b"half\nof\na li")
    assert (index.size, index.cut, index.damaged) == (len(WHOLE), 3, None)


def test_lines_behind_a_damaged_one_are_counted_and_left_out() -> None:
    data = WHOLE[: ENDS[1]] + b"x" + WHOLE[ENDS[1] :]
    index = scan(data)
    assert (index.damaged, index.cut, index.size) == (3, 4, ENDS[1])
    assert found(data, index) == ENTRIES[:2]


def test_a_question_is_found_whatever_stands_first_in_its_line() -> None:
    payload = b'{"question":7,"kind":"end","answer":null,"why":"","seconds":0}'
    line = b"%08x %b\n" % (crc32(payload), payload)
    assert list(scan(line).questions) == [7]
