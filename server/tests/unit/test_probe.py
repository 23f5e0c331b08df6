from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from ets_server.probe import StrangerError, is_ready

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = json.dumps({"meta_info": {"completion_tokens": 1}})


@contextlib.contextmanager
def site(**bodies: str) -> Iterator[str]:
    """A server that answers 200 with these bodies, by the last part of the path; 404 where there is none."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = bodies.get(self.path.rpartition("/")[2])
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write((body or "").encode())

        do_GET = do_POST = _answer  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.005,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_token_that_was_generated_is_ready() -> None:
    with site(health_generate="", server_info='{"random_seed": 7}', generate=TOKEN) as url:
        assert is_ready(url, None, generates=True, random_seed=7)


def test_a_server_that_tells_no_seed_is_believed() -> None:
    with site(health_generate="", generate=TOKEN) as url:
        assert is_ready(url, None, generates=True, random_seed=7)


def test_another_seed_is_a_stranger() -> None:
    other = '{"random_seed": 8}'
    with site(health_generate="", server_info=other, generate=TOKEN) as url, pytest.raises(StrangerError):
        is_ready(url, None, generates=True, random_seed=7)


@pytest.mark.parametrize("page", ["<html>hello</html>", "[]", "null", ""])
def test_what_answers_everything_and_is_no_sglang_is_a_stranger(page: str) -> None:
    with site(health_generate=page, server_info=page, generate=page) as url, pytest.raises(StrangerError):
        is_ready(url, None, generates=True, random_seed=7)


@pytest.mark.parametrize("page", ["<html>hello</html>", "[]", '{"meta_info": null}', "{}"])
def test_without_a_seed_to_ask_for_it_is_not_ready(page: str) -> None:
    with site(health_generate=page, server_info=page, generate=page) as url:
        assert not is_ready(url, None, generates=True, random_seed=None)


def test_nothing_there_is_not_ready() -> None:
    with site() as url:
        assert not is_ready(url, None, generates=True, random_seed=7)
    assert not is_ready(url, None, generates=True, random_seed=7)
