"""Odd replies of a router; those of real ones are in ``tests/contract/test_router_recorded.py``."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client import ModelInfo, ServerInfo
from ets_client._wire.broken import BrokenReplyError
from ets_client._wire.router import Worker, is_router, read_router_info, read_tokenizers, read_workers

MODEL = ModelInfo("/m", "/t", "m", True, "default", ())
COUNTS = b'{"router_manager":true,"routers_count":1,"workers_count":3}'
SERVER: dict[str, Any] = {"version": "0.5.18", "max_req_input_len": 94, "max_total_num_tokens": 500}


def worker(**labels: str) -> Worker:
    return Worker(url="http://w", labels=labels)


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        (b'{"status":"ready","healthy_workers":1,"total_workers":2}', True),
        (b'{"status":"ready"}', False),
        (b'{"healthy_workers":"1","total_workers":2}', False),
        (b"OK", False),
        (b"", False),
        (b"[]", False),
    ],
)
def test_only_a_routers_readiness_counts_workers(body: bytes, *, verdict: bool) -> None:
    assert is_router(body) is verdict


def test_the_least_of_all_workers_and_of_the_servers_own_facts_counts() -> None:
    workers = (
        worker(context_length="100", max_total_tokens="400"),
        worker(max_model_len="80", max_running_requests="4"),
    )
    facts = read_router_info(json.dumps(SERVER | {"max_running_requests": 8}).encode(), MODEL, workers, b"")
    assert (facts.frontend, facts.workers, facts.version) == ("smg", 2, "0.5.18")
    assert (facts.context_length, facts.max_total_tokens, facts.max_running_requests) == (80, 400, 4)
    assert not facts.has_metrics


def test_a_context_length_of_a_served_model_is_read() -> None:
    (found,) = read_workers(b'{"workers":[{"url":"u","models":[{"context_length":70},{"context_length":60},{}]}]}')
    assert found.context_length == 60


def test_sglang_router_tells_the_number_of_workers_and_the_least_cache_of_them() -> None:
    metrics = b'sglang_max_total_num_tokens{w="a"} 700\nsglang_max_total_num_tokens{w="b"} 600.0\nsglang_x 1\n'
    facts = read_router_info(COUNTS, MODEL, (), metrics)
    assert (facts.frontend, facts.workers, facts.version) == ("sglang-router", 3, "")
    assert (facts.max_total_tokens, facts.context_length, facts.is_deterministic) == (600, None, None)
    assert facts.has_metrics


@pytest.mark.parametrize("value", [b"NaN", b"+Inf", b"0", b"many"])
def test_a_cache_size_that_is_none_is_not_known(value: bytes) -> None:
    assert read_router_info(COUNTS, MODEL, (), b"sglang_max_total_num_tokens " + value).max_total_tokens is None


def test_what_is_no_number_in_a_label_is_not_known() -> None:
    assert worker(context_length="?").context_length is None
    assert worker(version="0.5.23").version == "0.5.23"
    assert read_router_info(COUNTS, MODEL, (worker(version="0.5.23"),), b"").version == "0.5.23"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"router_manager":true}', b'{"router_manager":1,"workers_count":"x"}']
)
def test_what_is_neither_a_server_nor_a_count_is_broken(body: bytes) -> None:
    with pytest.raises(BrokenReplyError, match="ServerInfo: "):
        read_router_info(body, MODEL, (), b"")


def test_a_page_of_something_else_is_broken_and_names_the_path() -> None:
    with pytest.raises(BrokenReplyError, match=r"^/workers: workers"):
        read_workers(b"{}")
    with pytest.raises(BrokenReplyError, match=r"^/v1/tokenizers: the body"):
        read_tokenizers(b"<html>")


KEYS = st.sampled_from(["workers", "tokenizers", "router_manager", "workers_count", "version", "max_req_input_len"])
OBJECTS = st.dictionaries(KEYS, st.none() | st.integers() | st.text() | st.lists(st.none(), max_size=1))


@given(body=st.binary() | OBJECTS.map(lambda value: json.dumps(value).encode()), metrics=st.binary())
def test_whatever_comes_is_read_or_broken(body: bytes, metrics: bytes) -> None:
    for read in (is_router, read_workers, read_tokenizers, lambda it: read_router_info(it, MODEL, (), metrics)):
        with contextlib.suppress(BrokenReplyError):
            assert isinstance(read(body), bool | tuple | ServerInfo)
