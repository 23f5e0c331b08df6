from __future__ import annotations

import json
from typing import Any

import pytest

from ets_client import LogprobOptions, SamplingParams
from ets_client._wire.broken import BrokenReplyError
from ets_client._wire.generate import (
    generate_body,
    read_samples,
    router_body,
    sampling_fields,
    server_n_body,
    warm_body,
)
from tests.fakes import sample

RUNNING_ABORT = {"type": "abort", "message": "Aborted", "status_code": None, "err_type": None}


def read(body: Any, expected: int = 1) -> Any:
    return read_samples(json.dumps(body).encode(), expected)


def test_unset_fields_are_left_out_and_seed_has_sglangs_name() -> None:
    assert sampling_fields(SamplingParams(temperature=0, seed=5)) == {"temperature": 0.0, "sampling_seed": 5}


def test_logit_bias_has_string_keys_as_the_server_wants() -> None:
    assert sampling_fields(SamplingParams(logit_bias={5: -1.5})) == {"logit_bias": {"5": -1.5}}


def test_a_batch_repeats_the_prompt_with_one_id_and_one_sampling_each() -> None:
    fields = [{"sampling_seed": 1}, {"sampling_seed": 2}]
    body = json.loads(generate_body([5, 6], ["a", "b"], fields, logprobs=None, namespace=None))
    assert body == {"input_ids": [[5, 6], [5, 6]], "rid": ["a", "b"], "sampling_params": fields}


def test_a_sampling_that_all_samples_share_is_the_same_as_one_for_each() -> None:
    shared = {"temperature": 0.5, "stop": ["\n\n"]}
    together = generate_body([5], ["a", "b"], [shared] * 2, logprobs=None, namespace=None)
    assert together == generate_body([5], ["a", "b"], [shared, dict(shared)], logprobs=None, namespace=None)


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        (None, {}),
        (LogprobOptions(), {"return_logprob": True}),
        (LogprobOptions(top=3), {"return_logprob": True, "top_logprobs_num": 3}),
        (LogprobOptions(chosen=(7, 5)), {"return_logprob": True, "token_ids_logprob": [[7, 5], [7, 5]]}),
    ],
)
def test_logprobs_are_asked_for_the_output_alone(options: LogprobOptions | None, fields: dict[str, Any]) -> None:
    body = json.loads(generate_body([5], ["a", "b"], [{}, {}], logprobs=options, namespace=None))
    assert {name: value for name, value in body.items() if "logprob" in name} == fields


def test_a_namespace_goes_with_each_sample() -> None:
    body = json.loads(generate_body([5], ["a", "b"], [{}, {}], logprobs=None, namespace="tree"))
    assert body["extra_key"] == ["tree", "tree"]


def test_a_warming_request_generates_nothing() -> None:
    assert json.loads(warm_body([5, 6], "a", "tree")) == {
        "input_ids": [[5, 6]],
        "rid": ["a"],
        "sampling_params": [{"max_new_tokens": 0}],
        "extra_key": ["tree"],
    }


@pytest.mark.parametrize("n", [1, 8])
def test_a_batch_comes_back_in_order(n: int) -> None:
    samples = read([sample(f"r{place}", [place, 300]) for place in range(n)], n)
    assert [one.meta_info.id for one in samples] == [f"r{place}" for place in range(n)]
    assert [one.output_ids for one in samples] == [[place, 300] for place in range(n)]


def test_a_sample_of_a_newer_server_with_more_fields_is_read() -> None:
    (one,) = read(
        [
            {
                "text": "one",
                "output_ids": [5, 6],
                "index": 0,
                "meta_info": {
                    "id": "r",
                    "finish_reason": {"type": "stop", "matched": [2, 3], "new": 1},
                    "prompt_tokens": 9,
                    "cached_tokens": 8,
                    "cached_tokens_details": {"device": 8, "host": 0},
                    "completion_tokens": 2,
                    "weight_versions": [{"version": "default", "start": 0, "end": 2}],
                    "dp_rank": None,
                    "e2e_latency": 0.5,
                },
            }
        ]
    )
    assert one.meta_info.finish_reason.matched == [2, 3]
    assert (one.meta_info.prompt_tokens, one.meta_info.cached_tokens) == (9, 8)


def test_a_running_abort_comes_as_200_with_what_was_generated() -> None:
    (one,) = read([sample("r", [97, 98], RUNNING_ABORT)])
    assert (one.meta_info.finish_reason.type, one.output_ids) == ("abort", [97, 98])


def test_an_abort_in_the_queue_has_hardly_any_fields() -> None:
    (one,) = read([{"text": "", "meta_info": {"id": "r", "finish_reason": {"type": "abort", "message": "Abort"}}}])
    meta = one.meta_info
    assert (one.output_ids, meta.prompt_tokens, meta.cached_tokens, meta.completion_tokens) == ([], 0, 0, 0)


def test_a_server_without_tokenizer_sends_no_text() -> None:
    (one,) = read([{"output_ids": [5], "meta_info": {"id": "r", "finish_reason": None}}])
    assert (one.text, one.meta_info.finish_reason) == ("", None)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"", "the body"),
        (b"<html>", "the body"),
        (b'[{"text": "cut', "the body"),
        (b"null", "the body"),
        (b'{"text": "a", "output_ids": [5], "meta_info": {"id": "r"}}', "the body"),
        (b'[{"text": "a"}]', "[0]: Object missing required field `meta_info`"),
        (b'[{"text": "a", "meta_info": {}}]', "[0].meta_info: Object missing required field `id`"),
        (b'[{"text": "a", "output_ids": ["x"], "meta_info": {"id": "r"}}]', "[0].output_ids[0]"),
        (b'[{"text": "a", "output_ids": [1.5], "meta_info": {"id": "r"}}]', "[0].output_ids[0]"),
        (b'[{"text": "\xff", "output_ids": [1], "meta_info": {"id": "r"}}]', "the body"),
        (b'[{"meta_info": {"id": "r", "finish_reason": "stop"}}]', "[0].meta_info.finish_reason"),
        (b"[" * 10_000, "[0]"),
        (b'[{"new": ' + b"[" * 10_000, "the body: it is nested too deeply"),
    ],
)
def test_garbage_is_a_broken_reply_that_says_where(body: bytes, where: str) -> None:
    with pytest.raises(BrokenReplyError) as caught:
        read_samples(body, 1)
    assert str(caught.value).startswith(where)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_another_number_of_samples_is_a_broken_reply(count: int) -> None:
    with pytest.raises(BrokenReplyError, match=f"{count} samples for a batch of 2"):
        read([sample(f"r{place}") for place in range(count)], 2)


def test_sglangs_own_n_has_its_request_id_in_a_list_of_one() -> None:
    body = json.loads(
        server_n_body([5, 6], "a", 3, {"top_k": 2}, logprobs=LogprobOptions(), namespace="tree", stream=True)
    )
    assert body == {
        "input_ids": [[5, 6]],
        "rid": ["a"],
        "sampling_params": [{"top_k": 2, "n": 3}],
        "return_logprob": True,
        "stream": True,
        "extra_key": ["tree"],
    }


def test_a_batch_for_a_router_has_no_list_but_the_prompts() -> None:
    body = json.loads(
        router_body([5, 6], 2, "a", {"top_k": 2}, namespace="tree", logprobs=LogprobOptions(), stream=True)
    )
    assert body == {
        "input_ids": [[5, 6], [5, 6]],
        "rid": "a",
        "sampling_params": {"top_k": 2},
        "return_logprob": True,
        "stream": True,
        "extra_key": "tree",
    }
    assert json.loads(router_body([5], 1, "a", {}, namespace=None)).keys() == {"input_ids", "rid", "sampling_params"}
