from __future__ import annotations

import contextlib
import json
import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client import ModelInfo, WorkerLoad
from ets_client._wire.admin import read_loads, read_model_info
from ets_client._wire.broken import BrokenReplyError

if TYPE_CHECKING:
    from collections.abc import Callable

    Read = Callable[[bytes], object]

MODEL = {
    "model_path": "/models/m",
    "tokenizer_path": "/models/t",
    "served_model_name": "m",
    "is_generation": False,
    "weight_version": "7",
    "architectures": ["LlamaForCausalLM"],
    "preferred_sampling_params": None,
}
LOAD = {
    "dp_rank": 1,
    "num_running_reqs": 2,
    "num_waiting_reqs": 3,
    "num_used_tokens": 4,
    "max_total_num_tokens": 5,
    "token_usage": 0.5,
    "gen_throughput": 6.5,
    "cache_hit_rate": 0.25,
    "num_total_reqs": 5,
}


def test_a_model_is_told_as_the_server_tells_it() -> None:
    found = read_model_info(json.dumps(MODEL).encode())
    assert found == ModelInfo("/models/m", "/models/t", "m", False, "7", ("LlamaForCausalLM",))


@pytest.mark.parametrize("more", [{}, {"architectures": None, "tokenizer_path": "", "served_model_name": ""}])
def test_what_a_server_leaves_out_of_its_model_follows_from_the_path(more: dict[str, object]) -> None:
    found = read_model_info(json.dumps({"model_path": "/m"} | more).encode())
    assert found == ModelInfo("/m", "/m", "/m", True, "default", ())


def test_each_worker_has_its_load() -> None:
    first, second = read_loads(json.dumps({"loads": [{}, LOAD], "version": "x"}).encode())
    assert first == WorkerLoad(0, 0, 0, 0, 0, 0.0, 0.0, 0.0)
    assert second == WorkerLoad(1, 2, 3, 4, 5, 0.5, 6.5, 0.25)


@pytest.mark.parametrize(
    ("read", "body", "path"),
    [
        (read_model_info, b"<html>", "/model_info: Invalid JSON"),
        (read_model_info, b"{}", "/model_info: Field required"),
        (read_loads, b"", "/v1/loads: Invalid JSON"),
        (read_loads, b"[]", "/v1/loads: "),
        (read_loads, b'{"loads": [{"dp_rank": "x"}]}', "/v1/loads: Input should be a valid integer"),
    ],
)
def test_something_else_is_a_broken_reply_that_names_the_endpoint(read: Read, body: bytes, path: str) -> None:
    with pytest.raises(BrokenReplyError) as caught:
        read(body)
    assert str(caught.value).startswith(path)


# Drawn from short lists: dictionaries of random texts are what hypothesis draws slowest.
NUMBERS = st.sampled_from([None, 0, -1, 2**70, 0.5, math.nan, math.inf, True])
TEXTS = st.sampled_from(["", "x", "\x00", "\ud800", "7"])
ANY_LOAD = st.fixed_dictionaries({}, optional=dict.fromkeys(LOAD, NUMBERS | TEXTS))
VALUES = NUMBERS | TEXTS | st.lists(st.none() | TEXTS | ANY_LOAD, max_size=2)
OBJECTS = st.fixed_dictionaries({}, optional=dict.fromkeys(["loads", *MODEL], VALUES)).map(
    lambda value: json.dumps(value).encode()
)


@pytest.mark.parametrize("read", [read_model_info, read_loads])
@given(body=st.binary(max_size=40) | OBJECTS)
def test_whatever_comes_is_read_or_broken(read: Read, body: bytes) -> None:
    with contextlib.suppress(BrokenReplyError):
        assert isinstance(read(body), ModelInfo | tuple)
