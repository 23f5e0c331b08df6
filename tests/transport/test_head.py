from __future__ import annotations

import pytest

from ets_client._transport.base import TransportError
from ets_client._transport.head import head_with_length, write_head
from ets_client._transport.origin import Origin, parse_url


def test_a_head_has_what_http_needs_and_the_headers_as_they_are() -> None:
    head = write_head("POST", parse_url("http://server:30000/generate"), [("X-Key", "k é")])
    assert head_with_length("POST", head, 12) == (
        b"POST /generate HTTP/1.1\r\nHost: server:30000\r\nX-Key: k \xe9\r\nUser-Agent: ets-client\r\n"
        b"Content-Length: 12\r\n\r\n"
    )


def test_what_the_caller_sets_is_not_sent_twice() -> None:
    head = write_head("GET", parse_url("http://server"), [("host", "other"), ("user-agent", "me")])
    assert head_with_length("GET", head, 0) == b"GET / HTTP/1.1\r\nhost: other\r\nuser-agent: me\r\n\r\n"


def test_a_post_without_a_body_says_so() -> None:
    assert head_with_length("POST", b"", 0) == b"Content-Length: 0\r\n\r\n"


@pytest.mark.parametrize("header", [("X", "secret\r\nY: z"), ("X", "secret\0"), ("X", "☃secret"), ("X Y", "secret")])
def test_a_header_that_would_break_the_request_is_not_sent_nor_shown(header: tuple[str, str]) -> None:
    with pytest.raises(TransportError, match="a character no header has") as caught:
        write_head("POST", parse_url("http://server"), [header])
    assert not caught.value.was_sent
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding"])
def test_the_length_is_not_the_callers_to_say(name: str) -> None:
    with pytest.raises(TransportError, match="follows from the body"):
        write_head("POST", parse_url("http://server"), [(name, "3")])


def test_a_method_with_a_space_is_refused() -> None:
    with pytest.raises(TransportError, match="not one of HTTP"):
        write_head("GET /x", parse_url("http://server"), [])


@pytest.mark.parametrize(
    ("url", "origin", "authority", "path"),
    [
        ("http://server/x?y=1&z=%20#f", Origin("http", "server", 80), "server", "/x?y=1&z=%20"),
        ("https://server", Origin("https", "server", 443), "server", "/"),
        ("http://[::1]:3/x y", Origin("http", "::1", 3), "[::1]:3", "/x%20y"),
        ("HTTP://SERVER:80/é?ü", Origin("http", "server", 80), "server:80", "/%C3%A9?%C3%BC"),
        ("http://bücher.example/", Origin("http", "xn--bcher-kva.example", 80), "xn--bcher-kva.example", "/"),
    ],
)
def test_a_url_is_taken_apart(url: str, origin: Origin, authority: str, path: str) -> None:
    assert parse_url(url) == (origin, authority, path)


@pytest.mark.parametrize(
    "url", ["", "server", "ftp://server", "http://", "http://server:0", "http://server:x", "http://server:99999",
            "http://me:secret@server", "http://a..b/", "http://" + "a" * 70, "http://[::1"],
)  # fmt: skip
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(TransportError, match="not the URL of a server") as caught:
        parse_url(url)
    assert not caught.value.was_sent
    assert "secret" not in str(caught.value)
