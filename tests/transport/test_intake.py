from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from ets_client._transport.intake import Intake

if TYPE_CHECKING:
    from ets_client._transport.reply import ReplyReader

REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def read(reader: ReplyReader, data: bytes = REPLY) -> ReplyReader:
    reader.begin(1000)
    reader.feed(data)
    return reader


def test_a_reader_is_used_again_by_whoever_comes_next() -> None:
    intake = Intake()
    first = read(intake.reader())
    assert first.take() == b"ok"
    intake.give_back(first)
    second = intake.reader()
    assert second is first
    assert read(second).take() == b"ok"


def test_a_reader_that_stopped_in_the_middle_or_whose_reply_ended_its_connection_is_not_used_again() -> None:
    intake = Intake()
    ended = read(intake.reader(), REPLY.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"))
    closed = read(intake.reader())
    closed.close()
    intake.give_back(ended)
    intake.give_back(closed)
    assert not ended.is_open
    assert intake.reader() not in (ended, closed)


def test_what_was_there_before_a_burst_is_kept_and_nothing_of_the_last_replies() -> None:
    intake = Intake()
    readers = [read(intake.reader()) for _ in range(100)]
    for reader in readers:
        reader.take()
        intake.give_back(reader)
    assert [reader.is_open for reader in readers] == [True] * 64 + [False] * 36
    assert not any(reader.raw_headers or reader.pieces or reader.size for reader in readers[:64])
    intake.close()
    assert not any(reader.is_open for reader in readers)


def test_headers_that_a_caller_still_has_are_not_taken_from_it() -> None:
    intake = Intake()
    headers = (reader := read(intake.reader())).raw_headers
    intake.give_back(reader)
    assert headers == [(b"Content-Length", b"2")]


def test_news_are_what_the_event_loop_has_not_read_yet() -> None:
    intake = Intake()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert not intake.has_news(ours.fileno())
        theirs.send(b"x")
        assert intake.has_news(ours.fileno())
        ours.recv(1)
        assert not intake.has_news(ours.fileno())
        theirs.close()
        assert intake.has_news(ours.fileno())
