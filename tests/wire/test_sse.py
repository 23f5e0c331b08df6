from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client._wire.sse import SseReader

PAYLOADS = st.lists(st.binary(min_size=1).filter(lambda raw: b"\n" not in raw and raw.strip() == raw), max_size=6)


@given(payloads=PAYLOADS, line_end=st.sampled_from([b"\n", b"\r\n"]), data=st.data())
def test_any_way_to_cut_the_bytes_gives_the_same_events(
    payloads: list[bytes], line_end: bytes, data: st.DataObject
) -> None:
    whole = b"".join(b"data: %b%b%b" % (payload, line_end, line_end) for payload in payloads)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    reader = SseReader()
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert [event for piece in pieces for event in reader.feed(piece)] == payloads


@pytest.mark.parametrize("line", [b"", b": ping", b"event: message", b"id: 5", b"retry: 10", b"dat", b" data: x"])
def test_lines_without_data_are_no_events(line: bytes) -> None:
    assert SseReader().feed(line + b"\ndata: x\n\n") == [b"x"]


def test_the_space_after_the_colon_may_be_missing() -> None:
    assert SseReader().feed(b"data:x\n\n") == [b"x"]


def test_an_event_comes_with_the_end_of_its_line_and_not_before() -> None:
    reader = SseReader()
    assert reader.feed(b"data: x") == []
    assert reader.feed(b"y\n") == [b"xy"]
    assert reader.feed(b"\n") == []
