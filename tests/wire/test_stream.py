from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client import FailureKind, ServerFaultError
from ets_client._wire.broken import BrokenReplyError
from ets_client._wire.stream import StreamedPart, StreamFaultError, StreamReader, read_streamed_sample, shows_a_token

STOP = {"type": "stop", "matched": "\n\n"}
QUEUE_FULL = {"type": "abort", "message": "The request queue is full.", "status_code": 503, "err_type": "x"}


def chunk(
    text: str = "",
    ids: Any = (),
    *,
    index: int | None = None,
    finish: Any = None,
    logprobs: Any = None,
    completed: int | None = None,
) -> bytes:
    counted = len(ids) if completed is None else completed
    meta: dict[str, Any] = {"id": f"r{index or 0}", "finish_reason": finish, "completion_tokens": counted}
    if logprobs is not None:
        meta["output_token_logprobs"] = logprobs
    body: dict[str, Any] = {"text": text, "output_ids": list(ids), "meta_info": meta}
    return json.dumps(body if index is None else body | {"index": index}).encode()


def read(reader: StreamReader, payload: bytes) -> StreamedPart:
    part = reader.read(payload)
    assert part is not None
    return part


def fault(payload: bytes) -> StreamFaultError:
    with pytest.raises(StreamFaultError) as caught:
        StreamReader(2, is_incremental=False).read(payload)
    return caught.value


@given(
    tokens=st.lists(st.lists(st.integers(97, 122), min_size=1, max_size=8), min_size=1, max_size=4),
    is_incremental=st.booleans(),
    is_told=st.booleans(),
    has_logprobs=st.booleans(),
    data=st.data(),
)
def test_both_modes_told_or_not_give_the_same_samples_however_they_are_cut_and_mixed(
    tokens: list[list[int]], data: st.DataObject, *, is_incremental: bool, is_told: bool, has_logprobs: bool
) -> None:
    reader = StreamReader(len(tokens), is_incremental=is_incremental if is_told else None)
    sent = [0] * len(tokens)
    text, ids = [""] * len(tokens), [[] for _ in tokens]  # type: list[str], list[list[int]]
    while any(count < len(each) for count, each in zip(sent, tokens, strict=True)):
        index = data.draw(st.sampled_from([at for at, each in enumerate(tokens) if sent[at] < len(each)]))
        whole = tokens[index]
        end = data.draw(st.integers(sent[index] + 1, len(whole)))
        shown = whole[sent[index] if is_incremental else 0 : end]
        logprobs = [[-float(token), token, None] for token in shown] if has_logprobs else None
        finish = {"type": "length", "length": end} if end == len(whole) else None
        payload = chunk("".join(map(chr, shown)), shown, index=index, finish=finish, logprobs=logprobs, completed=end)
        part = read(reader, payload)
        sent[index] = end
        text[index] += part.text
        ids[index] += part.token_ids
        assert part.index == index
        assert (part.sample is None) is (finish is None)
        if part.sample is not None:
            assert part.sample.text == text[index] == "".join(map(chr, whole))
            assert part.sample.output_ids == ids[index] == whole
            expected = tuple(-float(token) for token in whole) if has_logprobs else None
            assert (None if part.logprobs is None else part.logprobs.values) == expected


def test_a_single_sample_needs_no_index() -> None:
    assert read(StreamReader(1, is_incremental=False), chunk("a", [97])) == StreamedPart(0, "a", (97,), None)


def test_a_sample_has_what_its_last_chunk_says_of_it() -> None:
    reader = StreamReader(2, is_incremental=True)
    sample = read(reader, chunk("a", [97, 300], index=1, finish=STOP)).sample
    assert sample is not None
    assert (sample.meta_info.id, sample.meta_info.completion_tokens) == ("r1", 2)
    assert sample.meta_info.finish_reason is not None
    assert sample.meta_info.finish_reason.matched == "\n\n"


def test_the_text_of_a_sample_is_without_the_stop_string_that_came_before_its_end() -> None:
    reader = StreamReader(1, is_incremental=False)
    assert read(reader, chunk("a\n", [97, 10])).text == "a\n"
    part = read(reader, chunk("a", [97, 10, 10], finish=STOP))
    assert (part.text, part.token_ids) == ("", (10,))
    assert part.sample is not None
    assert part.sample.text == "a"


def test_text_that_is_taken_back_is_new_again_only_beyond_what_was_given() -> None:
    reader = StreamReader(1, is_incremental=False)
    texts = ["a\ufffd", "a", "aé", "aé and"]
    found = [read(reader, chunk(text, range(place + 1))) for place, text in enumerate(texts)]
    assert [part.text for part in found] == ["a\ufffd", "", "", " and"]
    assert [part.token_ids for part in found] == [(0,), (1,), (2,), (3,)]


@pytest.mark.parametrize("is_incremental", [False, True])
def test_logprobs_that_a_chunk_leaves_out_are_those_of_before(*, is_incremental: bool) -> None:
    reader = StreamReader(1, is_incremental=is_incremental)
    read(reader, chunk("a", [97], logprobs=[[-1.0, 97, None]]))
    logprobs = read(reader, chunk("a", [97], finish=STOP)).logprobs
    assert logprobs is not None
    assert logprobs.values == (-1.0,)


def test_the_mark_at_the_end_adds_nothing() -> None:
    assert StreamReader(1, is_incremental=False).read(b"[DONE]") is None


@pytest.mark.parametrize(
    ("frame", "status", "kind", "message"),
    [
        ({"message": "too long"}, 400, FailureKind.REJECTED, "too long"),
        ({"message": "bad", "type": "x", "code": 400, "retryable": False}, 400, FailureKind.REJECTED, "bad"),
        ({"message": "full", "code": 503}, 503, FailureKind.BUSY, "full"),
        ({"message": "broke", "code": 500}, 500, FailureKind.FAULT, "broke"),
        ({"message": "odd", "code": "many"}, 500, FailureKind.FAULT, "odd"),
        ("plain words", 500, FailureKind.FAULT, "plain words"),
        (None, 500, FailureKind.FAULT, '{"error": null}'),
    ],
)
def test_each_shape_of_error_frame_is_understood(frame: Any, status: int, kind: FailureKind, message: str) -> None:
    error = fault(json.dumps({"error": frame}).encode())
    assert (error.status, error.fault.kind, error.fault.message, error.index) == (status, kind, message, None)


def test_an_error_frame_that_is_cut_is_a_fault_of_the_server() -> None:
    error = fault(b'{"error": {"mess')
    assert (error.status, error.fault.kind, error.fault.body) == (500, FailureKind.FAULT, '{"error": {"mess')


@pytest.mark.parametrize(
    ("status", "message", "kind", "words"),
    [
        (503, "The request queue is full.", FailureKind.BUSY, "The request queue is full."),
        (400, "too long", FailureKind.REJECTED, "too long"),
        (500, "out of memory", FailureKind.FAULT, "out of memory"),
        (599, None, FailureKind.FAULT, "aborted"),
    ],
)
def test_an_abort_with_a_status_is_a_failure_of_its_sample(
    status: int, message: str | None, kind: FailureKind, words: str
) -> None:
    error = fault(chunk(index=1, finish={"type": "abort", "message": message, "status_code": status}))
    assert (error.status, error.fault.kind, error.fault.message, error.index) == (status, kind, words, 1)


@pytest.mark.parametrize("status", [{}, {"status_code": None}])
def test_an_abort_without_a_status_is_an_end(status: dict[str, Any]) -> None:
    part = read(StreamReader(1, is_incremental=False), chunk("a", [97], finish={"type": "abort"} | status))
    assert part.sample is not None


@pytest.mark.parametrize("index", [-1, 2])
def test_a_chunk_of_a_sample_that_was_not_asked_for_is_broken(index: int) -> None:
    with pytest.raises(BrokenReplyError, match=f"sample {index} of 2"):
        StreamReader(2, is_incremental=False).read(chunk("a", [97], index=index))


@pytest.mark.parametrize("finish", [STOP, QUEUE_FULL])
def test_a_chunk_of_a_sample_that_has_ended_is_broken_and_the_others_go_on(finish: Any) -> None:
    reader = StreamReader(2, is_incremental=False)
    with contextlib.suppress(StreamFaultError):
        reader.read(chunk("a", [97], index=0, finish=finish))
    with pytest.raises(BrokenReplyError, match="sample 0 of 2"):
        reader.read(chunk("ab", [97, 98], index=0))
    assert read(reader, chunk("b", [98], index=1)).text == "b"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def near(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with the right names and now and then a wrong value."""
    return st.fixed_dictionaries({}, optional={name: right | JSON for name, right in fields.items()})


FINISH = near(type=st.sampled_from(["stop", "length", "abort"]), status_code=st.integers(0, 600), message=st.text())
META = near(
    id=st.text(),
    finish_reason=st.none() | FINISH,
    completion_tokens=st.integers(),
    output_token_logprobs=st.lists(JSON),
    output_top_logprobs=st.lists(st.lists(JSON)),
)
CHUNK = near(index=st.integers(-1, 2), text=st.text(), output_ids=st.lists(st.integers()), meta_info=META)
PAYLOAD = st.binary() | (JSON | CHUNK).map(lambda value: json.dumps(value).encode())


@given(payloads=st.lists(PAYLOAD, min_size=1, max_size=4), is_incremental=st.booleans())
def test_whatever_comes_is_a_part_or_the_end_or_one_of_two_errors(
    payloads: list[bytes], *, is_incremental: bool
) -> None:
    reader = StreamReader(2, is_incremental=is_incremental)
    for payload in payloads:
        try:
            part = reader.read(payload)
        except (BrokenReplyError, StreamFaultError):
            continue
        assert (part is None) is (payload == b"[DONE]")
        assert part is None or part.index in {0, 1}
        if part is not None and part.logprobs is not None:
            with contextlib.suppress(ServerFaultError):
                assert len(part.logprobs) == len(part.logprobs.values)


@pytest.mark.parametrize(
    ("payload", "shows"),
    [
        (chunk("a", (97,)), True),
        (chunk(), False),
        (chunk(finish={"type": "abort", "message": "Aborted"}), False),
        (chunk(finish=QUEUE_FULL), False),
        (b'{"error": {"message": "no"}}', False),
        (b"[DONE]", False),
        (b"nonsense", False),
    ],
)
def test_a_prompt_is_computed_when_there_is_a_token(payload: bytes, *, shows: bool) -> None:
    assert shows_a_token(payload) is shows


@pytest.mark.parametrize("is_incremental", [False, True, None])
def test_a_stream_of_one_sample_is_read_as_a_whole(*, is_incremental: bool | None) -> None:
    second = chunk("b", (98,), finish=STOP, completed=2) if is_incremental else chunk("ab", (97, 98), finish=STOP)
    body = b"".join(b"data: %b\n\n" % payload for payload in (chunk("a", (97,)), second, b"[DONE]"))
    sample, logprobs = read_streamed_sample(body, is_incremental=is_incremental)
    assert (sample.text, sample.output_ids, logprobs) == ("ab", [97, 98], None)
    with pytest.raises(BrokenReplyError, match="ended before its sample"):
        read_streamed_sample(body[: body.index(b"\n\n") + 2], is_incremental=is_incremental)
