from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ets_client._transport.base import TransportError
from ets_client._transport.reply import ReplyReader

SIZED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\nhello world"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n"
)
INTERIM = b"HTTP/1.1 100 Continue\r\nX: 1\r\n\r\nHTTP/1.1 103 Early Hints\r\nX: 2\r\n\r\n" + SIZED
EMPTY = b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"


def read(*pieces: bytes, most: float = 1000, streams: bool = False, skips_body: bool = False) -> ReplyReader:
    reader = ReplyReader()
    reader.begin(most, streams=streams, skips_body=skips_body)
    for piece in pieces:
        reader.feed(piece)
    return reader


def split(data: bytes, places: list[int]) -> list[bytes]:
    cuts = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(cuts) if start < end]


@given(st.sampled_from([SIZED, CHUNKED, INTERIM, EMPTY]), st.lists(st.integers(0, 500), max_size=30))
@example(SIZED, list(range(200)))
@example(CHUNKED, list(range(200)))
def test_a_reply_is_the_same_however_its_bytes_are_split(data: bytes, places: list[int]) -> None:
    whole, parts = read(data), read(*split(data, places))
    assert whole.is_complete
    assert parts.is_complete
    assert (parts.status, parts.headers(), parts.keeps_alive) == (whole.status, whole.headers(), whole.keeps_alive)
    assert parts.take() == whole.take() == (b"" if data == EMPTY else b"hello world")


@given(st.lists(st.integers(0, 500), max_size=30))
def test_a_reply_without_a_length_ends_with_the_connection(places: list[int]) -> None:
    reader = read(*split(b"HTTP/1.1 200 OK\r\n\r\nhello world", places))
    assert not reader.is_complete
    reader.feed_eof()
    assert reader.is_complete
    assert not reader.keeps_alive
    assert reader.take() == b"hello world"


@given(st.sampled_from([SIZED, CHUNKED, INTERIM]), st.integers(0, 500))
def test_a_reply_that_is_cut_is_an_error(data: bytes, place: int) -> None:
    reader = read(*split(data[: place % len(data)], []))
    with pytest.raises(TransportError, match="closed the connection"):
        reader.feed_eof()


@given(st.binary(min_size=1, max_size=200), st.lists(st.integers(0, 500), max_size=5))
def test_garbage_is_an_error_of_ours_or_no_reply_yet(data: bytes, places: list[int]) -> None:
    reader, errors = ReplyReader(), 0
    reader.begin(1000)
    for piece in split(data, places):
        if not errors:
            try:
                reader.feed(piece)
            except TransportError as error:
                errors += error.was_sent
    assert errors == 1 or not reader.is_complete


@pytest.mark.parametrize("data", [SIZED + b"x", SIZED + SIZED, CHUNKED + b"\0", EMPTY + b"hello"])
def test_more_bytes_than_one_reply_spoil_the_connection_but_not_the_reply(data: bytes) -> None:
    reader = read(data)
    assert reader.is_complete
    assert not reader.keeps_alive
    assert reader.take() in {b"hello world", b""}


@pytest.mark.parametrize(
    ("head", "keeps_alive"),
    [
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n", False),
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", True),
    ],
)
def test_the_server_says_whether_the_connection_lives_on(head: bytes, *, keeps_alive: bool) -> None:
    assert read(head + b"Content-Length: 0\r\n\r\n").keeps_alive is keeps_alive


def test_one_reader_reads_one_reply_after_another() -> None:
    reader = read(CHUNKED)
    assert reader.take() == b"hello world"
    reader.begin(1000)
    assert (reader.status, reader.is_complete, reader.has_begun) == (0, False, False)
    reader.feed(SIZED)
    assert reader.take() == b"hello world"
    assert reader.headers() == {"content-type": "application/json", "content-length": "11"}


def test_headers_that_come_twice_are_joined_and_trailers_left_out() -> None:
    assert read(b"HTTP/1.1 200 OK\r\nA: 1\r\na: 2\r\nContent-Length: 0\r\n\r\n").headers()["a"] == "1, 2"
    assert "trailer" not in read(CHUNKED).headers()


def test_the_reply_to_a_head_request_ends_with_its_headers() -> None:
    reader = read(SIZED[: SIZED.index(b"hello")], skips_body=True)
    assert reader.is_complete
    assert not reader.keeps_alive  # llhttp would wait for the body


@pytest.mark.parametrize("data", [SIZED, CHUNKED, b"HTTP/1.1 200 OK\r\n\r\nhello world"])
def test_a_body_over_the_limit_is_an_error(data: bytes) -> None:
    reader = read(most=10)
    with pytest.raises(TransportError, match="or more, the most is 10: ask for fewer samples"):
        reader.feed(data)
    assert not reader.is_complete


def test_a_length_over_the_limit_is_an_error_before_the_body_comes() -> None:
    with pytest.raises(TransportError, match="has 2000 bytes or more"):
        read(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n")


def test_a_stream_may_have_any_size_but_not_a_refusal_of_it() -> None:
    assert read(SIZED, most=10, streams=True).is_complete
    with pytest.raises(TransportError, match="the most is 10"):
        read(SIZED.replace(b"200", b"503"), most=10, streams=True)


@pytest.mark.parametrize(
    "endless",
    [
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 4_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"x" * 100_000,
        b"\r\n" * 50_000,
    ],
)
def test_headers_over_64_kib_are_an_error(endless: bytes) -> None:
    with pytest.raises(TransportError, match="headers are larger than 65536"):
        read(*(endless[at : at + 1000] for at in range(0, len(endless), 1000)))


def test_a_long_stream_may_come_in_pieces_as_small_as_they_like() -> None:
    chunks = [b"1\r\n", b"x", b"\r\n"] * 30_000
    reader = read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *chunks, b"0\r\n\r\n", streams=True)
    assert reader.is_complete
    assert reader.size == 30_000


def test_another_protocol_is_an_error() -> None:
    with pytest.raises(TransportError, match="another protocol"):
        read(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")


def test_a_reply_that_is_no_http_is_shown_by_its_beginning() -> None:
    with pytest.raises(TransportError, match=r"is not HTTP .*begins with b'SSH-2.0"):
        read(b"SSH-2.0-OpenSSH_9.6\r\n")
    with pytest.raises(TransportError, match="use an https:// address"):
        read(b"\x15\x03\x01\x00\x02\x02\x16")
    with pytest.raises(TransportError, match=r"is not HTTP \([^)]+\): is it"):
        read(SIZED[:20], b"\0\0\0")
