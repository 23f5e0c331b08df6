from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from ets_client.testing import Costs, FakeOptions, VirtualClock
from tests.testing.conftest import LONG, Client, eventually, open_client

_EMBEDS = (
    "input_embeds is provided while disable_radix_cache is False. Please add `--disable-radix-cache` when you "
    "launch the server if you want to use input_embeds as inputs."
)
_UNEQUAL = "The parallel_sample_num should be the same for all samples in sample params."
_TOO_MUCH = (
    "Requested token count exceeds the model's maximum context length of 2048 tokens. You requested a total of 2100 "
    "tokens: 2000 tokens from the input messages and 100 tokens for the completion. Please reduce the number of tokens "
    "in the input messages or the completion to fit within the limit."
)


@pytest.mark.parametrize(
    ("ids", "fields", "words"),
    [
        ([], {}, "input_ids cannot be empty."),
        (None, {}, "Either text, input_ids or input_embeds should be provided."),
        (None, {"input_embeds": [[1.0]], "text": None}, _EMBEDS),
        ([5], {"session_params": {"id": "x"}}, "Invalid request: session id x does not exist"),
        ([5], {"routed_dp_rank": 3}, "routed_dp_rank=3 out of range [0, 1)"),
        ([5], {"n": 2, "return_logprob": [True]}, "Cannot use list return_logprob with parallel_sample_num > 1"),
        ([5], {"extra_key": ["a"]}, "extra_key should be a string for a single request."),
        ([[1], [2]], {"sampling_params": [{"n": 1}, {"n": 2}]}, _UNEQUAL),
        ([5] * 2000, {"max_new_tokens": 100}, _TOO_MUCH),
        (None, {"text": ""}, "texts cannot be empty and tokenizer must be initialized"),
        ([[1, 2], [3]], {"rid": ["a"]}, "The specified rids length mismatch with the batch_size for batch processing."),
        ([[1, 2], [3]], {"rid": ["a", "a"]}, "Duplicate request IDs detected within the request: ['a']"),
        ([[1, 2], [3]], {"extra_key": ["a"]}, "The length of extra_key should be equal to the batch size."),
        ([5] * 2100, {}, "The input (2100 tokens) is longer than the model's context length (2048 tokens)."),
        (
            [5] * 2042,
            {},
            (
                "Input length (2042 tokens) exceeds the maximum allowed length (2042 tokens). "
                "Use a shorter input or enable --allow-auto-truncate."
            ),
        ),
        (
            [5] * 3,
            {"return_logprob": True, "logprob_start_len": 9},
            (
                "req.logprob_start_len=9 is higher than the number of input tokens len(req.origin_input_ids)=3. "
                "Please use a smaller logprob_start_len."
            ),
        ),
        ([5], {"temperature": -1}, "temperature must be a non-negative finite number, got -1."),
    ],
)
async def test_refusals_are_400_in_sglangs_words(client: Client, ids: Any, fields: dict[str, Any], words: str) -> None:
    reply = await client.generate(ids, **fields)
    assert (reply.status_code, reply.json()) == (400, {"error": {"message": words}})


async def test_types_that_fastapi_refuses_are_400_of_another_shape(client: Client) -> None:
    for fields, words in (
        ({"rid": 5}, "2 validation errors"),
        ({"rid": ["a", 5]}, "('body', 'rid', 'list[str]', 1)"),
        ({"extra_key": 5}, "Input should be a valid list"),
        ({"ids": "x"}, "must be list or null; got str"),
        ({"ids": [1.5]}, "elements must be int or list; got float"),
        ({"ids": [1, 2**70]}, "contains non-int64 element: 'float' object cannot be interpreted as an integer"),
        ({"ids": [1, 10**400]}, "contains non-int64 element: int too large to convert to float"),
        ({"ids": [[1, "x"]]}, "row 0: contains non-int64 element: 'str' object cannot be interpreted as an integer"),
        ({"ids": [["x"]]}, "row 0: elements must be int; got str"),
        ({"ids": [[1], None]}, "row 1: must not be None"),
        ({"ids": [[1], 2]}, "row 1: must be list; got int"),
        ({"stream": None}, "Input should be a valid boolean"),
        ({"stream": "perhaps"}, "unable to interpret input"),
    ):
        reply = await client.generate(**fields)
        assert (reply.status_code, reply.json()["type"]) == (400, "Bad Request")
        assert words in reply.json()["message"]
    for body in (b"{", b"", b"[1]"):
        reply = await client.http.post("/generate", content=body, headers={"content-type": "application/json"})
        assert (reply.status_code, reply.json()["object"]) == (400, "error")
    assert (await client.http.post("/generate", content=b'{"input_ids":[5]}')).status_code == 400


async def test_unknown_sampling_fields_are_500_and_a_string_error_in_0_5_23(client: Client) -> None:
    reply = await client.generate(bogus=1)
    assert (reply.status_code, reply.text, reply.headers["connection"]) == (500, "Internal Server Error", "close")
    with pytest.raises(httpx.RemoteProtocolError):
        await client.generate(bogus=1, stream=True)
    async with open_client(FakeOptions(version="0.5.23")) as newer:
        reply = await newer.generate(bogus=1)
        assert reply.status_code == 400
        assert reply.json()["error"].startswith("unknown field `bogus`, expected one of `max_new_tokens`, ")


async def test_a_rid_in_flight_is_refused_and_free_again_after_its_end() -> None:
    clock = VirtualClock()
    async with open_client(clock=clock, costs=Costs(decode_step=1)) as client:
        first = asyncio.ensure_future(client.generate(rid="a", max_new_tokens=5, ignore_eos=True))
        await eventually(lambda: bool(client.server.scheduler.running))
        reply = await client.generate(rid="a")
        assert reply.json() == {"error": {"message": "Duplicate request ID detected: a"}}
        await clock.run(first)
        assert (await client.generate(rid="a", max_new_tokens=0)).status_code == 200


async def test_a_stream_tells_refusals_as_events(client: Client) -> None:
    (event,) = await client.events(temperature=-1)
    assert event["error"]["code"] == 400
    (event,) = await client.events([5] * 2042)
    assert event["meta_info"]["finish_reason"]["status_code"] == 400


async def test_a_full_queue_is_503_and_an_event_in_a_stream() -> None:
    clock = VirtualClock()
    options = FakeOptions(max_running_requests=1, max_queued_requests=1)
    async with open_client(options, clock=clock, costs=Costs(decode_step=1)) as client:
        running = asyncio.ensure_future(client.generate(**LONG))
        await eventually(lambda: bool(client.server.scheduler.running))
        waiting = asyncio.ensure_future(client.generate(max_new_tokens=1))
        await eventually(lambda: bool(client.server.scheduler.waiting))
        refused = await client.generate(max_new_tokens=1)
        assert (refused.status_code, refused.json()["message"]) == (503, "The request queue is full.")
        (event,) = await client.events(max_new_tokens=1)
        assert event["meta_info"]["finish_reason"]["status_code"] == 503
        await clock.run(asyncio.gather(running, waiting))


@pytest.mark.parametrize(
    "fields",
    [
        {"sampling_params": [{}]},
        {"ids": [[1], [2]], "sampling_params": [{"max_new_tokens": 1}]},
        {"rid": ["a"]},
        {"ids": [[1], [2]], "return_logprob": [True]},
        {"n": "x"},
    ],
)
async def test_shapes_that_sglang_stumbles_over_are_500(client: Client, fields: dict[str, Any]) -> None:
    assert (await client.generate(**fields)).status_code == 500


async def test_a_sample_refused_by_the_scheduler_fails_its_whole_request(client: Client) -> None:
    reply = await client.generate([[5], [5] * 2042], max_new_tokens=1)
    assert reply.status_code == 400
    assert (await client.generate([5] * 2042, n=2, max_new_tokens=1)).status_code == 400
    await eventually(lambda: client.server.scheduler.is_idle)
