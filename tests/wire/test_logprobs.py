from __future__ import annotations

import json
import math
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client import Logprobs, ServerFaultError
from ets_client._wire.logprobs import holds_logprobs, logprobs_of_samples, logprobs_of_stream

ENTRY = st.tuples(st.floats(max_value=0, allow_infinity=False, min_value=-1e30), st.integers(0, 99), st.none())


def meta(own: Any, top: Any = None, chosen: Any = None) -> dict[str, Any]:
    lists = {
        "output_token_logprobs": own,
        "output_top_logprobs": top,
        "output_token_ids_logprobs": chosen,
        "input_token_logprobs": [],
    }
    return {"text": "a", "meta_info": {name: value for name, value in lists.items() if value is not None}}


def of_samples(*each: dict[str, Any]) -> list[Logprobs]:
    found = [logprobs for logprobs in logprobs_of_samples(json.dumps(each).encode(), len(each)) if logprobs is not None]
    assert len(found) == len(each)
    return found


def test_each_sample_of_a_reply_has_its_own() -> None:
    one, two = of_samples(
        meta([[-1.0, 5, None], [-3, 6, "x"]], [[[-0.5, 7, None], [-1.0, 5, None]], None]),
        meta([[-2.0, 6, None]], None, [[[None, 9, None], [-2.0, 6, None]]]),
    )
    assert (one.values, one.top) == ((-1.0, -3.0), ({7: -0.5, 5: -1.0}, {}))
    assert (two.values, two.chosen) == ((-2.0,), ({9: -math.inf, 6: -2.0},))


def test_a_reply_without_any_has_none() -> None:
    body = json.dumps([{"text": '"output_token_logprobs"', "meta_info": {"id": "r"}}]).encode()
    assert not holds_logprobs(body)
    assert logprobs_of_samples(body, 2) == [None, None]
    assert logprobs_of_stream([]) is None


def test_a_sample_that_was_aborted_in_the_queue_has_no_entries() -> None:
    whole, aborted = of_samples(meta([[-1.0, 5, None]], [[[-1.0, 5, None]]]), {"meta_info": {"id": "r"}})
    assert (len(whole), len(aborted), aborted.top, aborted.chosen) == (1, 0, (), ())


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"null", -math.inf),
        (b"-Infinity", -math.inf),
        (b"-3.4028234663852886e38", -math.inf),
        (b"-1", -1.0),
        (b"-65504.0", -65504.0),
    ],
)
def test_any_logprob_that_servers_send_is_read(raw: bytes, value: float) -> None:
    (logprobs,) = logprobs_of_samples(b'[{"meta_info":{"output_token_logprobs":[[%b,5,null]]}}]' % raw, 1)
    assert logprobs is not None
    assert logprobs.values == (value,)


def test_one_that_is_no_number_stays_none() -> None:
    (logprobs,) = logprobs_of_samples(b'[{"meta_info":{"output_token_logprobs":[[NaN,5,null]]}}]', 1)
    assert logprobs is not None
    assert math.isnan(logprobs.mean)


@pytest.mark.parametrize("wrong", ["x", 5, [5], [[1.0]], [[-1.0, "x", None]], [["x", 5, None]], {"a": 1}])
def test_garbage_is_a_server_fault_when_it_is_read_and_not_before(wrong: Any) -> None:
    (sample,) = of_samples(meta(wrong))
    streamed = logprobs_of_stream([json.dumps(meta(wrong)).encode()])
    assert streamed is not None
    for logprobs in (sample, streamed):
        with pytest.raises(ServerFaultError, match="output_token_logprobs") as caught:
            logprobs.values  # noqa: B018 - it reads
        assert "output_token_logprobs" in caught.value.body


@given(st.lists(st.lists(ENTRY, max_size=3), min_size=1, max_size=4))
def test_the_chunks_of_a_stream_make_one_list(chunks: list[list[tuple[float, int, None]]]) -> None:
    bodies = [
        json.dumps(meta(entries, [[entry] for entry in entries], [[entry] for entry in entries])).encode()
        for entries in chunks
    ]
    logprobs = logprobs_of_stream(bodies)
    assert logprobs is not None
    entries = [entry for each in chunks for entry in each]
    assert logprobs.values == tuple(value for value, _, _ in entries)
    assert logprobs.top == logprobs.chosen == tuple({token: value} for value, token, _ in entries)


def test_a_reply_can_be_pickled_and_is_let_go_when_it_was_read() -> None:
    one, two = pickle.loads(pickle.dumps(of_samples(meta([[-1.0, 5, None]]), meta([[-2.0, 6, None]]))))
    assert (two.values, one.values) == ((-2.0,), (-1.0,))
    long = [[-1.25, 5, None]] * 1000
    (read,) = of_samples(meta(long))
    before = len(pickle.dumps(read))
    assert read.mean == -1.25
    assert len(pickle.dumps(read)) < before
