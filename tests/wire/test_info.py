from __future__ import annotations

import json
from typing import Any

import pytest

from ets_client import ServerInfo, ServerMetrics
from ets_client._wire.admin import read_model_info
from ets_client._wire.broken import BrokenReplyError
from ets_client._wire.info import read_metrics, read_server_info
from tests.fakes import METRICS, MODEL_INFO, MODELS, SERVER_INFO


def read(server: Any = SERVER_INFO, model: Any = MODEL_INFO, models: Any = MODELS) -> ServerInfo:
    told = read_model_info(json.dumps(model).encode())
    return read_server_info(json.dumps(server).encode(), told, json.dumps(models).encode())


def test_three_replies_make_the_facts() -> None:
    assert read() == ServerInfo(
        version="0.5.18",
        model_path="/models/tiny",
        tokenizer_path="/models/tok",
        context_length=2048,
        max_input_tokens=2042,
        max_total_tokens=65536,
        page_size=1,
        schedule_policy="lpm",
        dp_size=1,
        has_admin_key=False,
        has_metrics=True,
        is_deterministic=False,
        has_radix_cache=True,
        streams_increments=False,
        weight_version="default",
    )


def test_a_context_length_that_was_set_wins_over_the_models() -> None:
    assert read(SERVER_INFO | {"context_length": 1024}).context_length == 1024


def test_a_router_that_lists_no_length_leaves_the_input_limit() -> None:
    assert read(models={"data": [{"id": "tiny"}]}).context_length == 2042
    assert read(models={"data": []}).context_length == 2042


def test_flags_of_the_server_are_read() -> None:
    info = read(SERVER_INFO | {"enable_deterministic_inference": True, "disable_radix_cache": True})
    assert (info.is_deterministic, info.has_radix_cache) == (True, False)


@pytest.mark.parametrize("told", [{"top_p": 0.5}, '{"top_p": 0.5}'])
def test_sampling_that_the_server_prefers_is_read_however_it_is_told(told: object) -> None:
    assert read(SERVER_INFO | {"preferred_sampling_params": told}).preferred_sampling == {"top_p": 0.5}
    assert read(SERVER_INFO | {"preferred_sampling_params": None}).preferred_sampling == {}


@pytest.mark.parametrize(
    ("graphs", "batch"),
    [
        ({"decode": {"backend": "full", "max_bs": 512, "bs": [1, 2]}, "prefill": {"backend": "disabled"}}, 512),
        ({"decode": {"backend": "disabled", "max_bs": 160}}, None),
        ({"decode": {"backend": "full", "max_bs": None}}, None),
        ({}, None),
        (None, None),
    ],
)
def test_the_batch_that_graphs_were_captured_for_is_read(graphs: Any, batch: int | None) -> None:
    assert read(SERVER_INFO | {"cuda_graph_config": graphs}).captured_batch == batch


@pytest.mark.parametrize(
    ("memory", "each"),
    [
        ({"kvcache": 60.0, "token_capacity": 491520, "weight": 12.5}, 131072.0),
        ({"kvcache": 0.5, "token_capacity": 4096}, 131072.0),
        ({"kvcache": 0.03, "token_capacity": 65536}, None),  # rounded to 0.01
        ({"kvcache": 60.0}, None),
        ({}, None),
        (None, None),
    ],
)
def test_the_bytes_of_a_token_are_read_unless_they_were_rounded_away(memory: Any, each: float | None) -> None:
    info = read(SERVER_INFO | {"internal_states": [{"memory_usage": memory}]})
    assert info.kv_bytes_per_token == each
    assert read(SERVER_INFO | {"internal_states": []}).kv_bytes_per_token is None


def test_what_an_older_server_does_not_tell_has_sglangs_defaults() -> None:
    info = read({"max_req_input_len": 9, "max_total_num_tokens": 99})
    assert (info.version, info.page_size, info.schedule_policy) == ("", 1, "")
    assert (info.has_metrics, info.is_deterministic, info.has_radix_cache) == (False, False, True)


@pytest.mark.parametrize(
    ("bodies", "where"),
    [
        (({"max_req_input_len": 5}, MODEL_INFO, MODELS), "ServerInfo: max_total_num_tokens"),
        ((SERVER_INFO, MODEL_INFO, {"data": [1]}), "Models: data.0"),
        (
            (SERVER_INFO | {"preferred_sampling_params": "{"}, MODEL_INFO, MODELS),
            "ServerInfo: preferred_sampling_params",
        ),
        (("text", MODEL_INFO, MODELS), "ServerInfo: the body"),
    ],
)
def test_a_reply_of_something_else_is_broken_and_says_where(bodies: tuple[Any, Any, Any], where: str) -> None:
    with pytest.raises(BrokenReplyError) as caught:
        read(*bodies)
    assert str(caught.value).startswith(where)


def test_the_keys_in_a_broken_reply_are_not_shown() -> None:
    with pytest.raises(BrokenReplyError) as caught:
        read({"api_key": "sk-secret", "max_req_input_len": "sk-secret"})
    assert "sk-secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_counters_are_summed_over_workers_and_counted_once_a_tensor_parallel_group() -> None:
    assert read_metrics(METRICS.encode()) == ServerMetrics(
        prefilled_tokens=100, reused_tokens=7, generated_tokens=30, running_requests=2, waiting_requests=1
    )


def test_counters_of_several_data_parallel_workers_are_added() -> None:
    text = "\n".join(f'sglang:num_queue_reqs{{dp_rank="{rank}",tp_rank="0"}} {rank + 1}.0' for rank in range(3))
    assert read_metrics(text.encode()).waiting_requests == 6


@pytest.mark.parametrize(
    "line",
    [
        'sglang:num_queue_reqs{moe_tp_rank="1",tp_rank="0"} 4.0',
        'sglang:num_queue_reqs{model_name="a} 9 tp_rank=\\"1\\""} 4.0',
        "sglang:num_queue_reqs 4.0 1700000000",
        "sglang:num_queue_reqs\t4e0",
    ],
)
def test_labels_and_numbers_are_read_as_prometheus_writes_them(line: str) -> None:
    assert read_metrics(line.encode()).waiting_requests == 4


def test_missing_and_infinite_counters_are_zero() -> None:
    nothing = ServerMetrics(0, 0, 0, 0, 0)
    assert read_metrics(b"") == nothing
    assert read_metrics(b"sglang:num_queue_reqs +Inf\nsglang:num_running_reqs NaN\n") == nothing


@pytest.mark.parametrize("body", [b"hello world", b"sglang:num_queue_reqs{} many"])
def test_a_page_of_something_else_is_broken(body: bytes) -> None:
    with pytest.raises(BrokenReplyError, match="/metrics"):
        read_metrics(body)


def test_the_difference_of_two_readings_keeps_the_present_load() -> None:
    earlier, later = ServerMetrics(1, 2, 3, 4, 5), ServerMetrics(11, 22, 33, 9, 8)
    assert later.since(earlier) == ServerMetrics(10, 20, 30, 9, 8)
