from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ets_client.testing import Costs, FakeOptions, ScriptedModel, VirtualClock
from tests.testing.conftest import Client, eventually, open_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ets_client.testing import Version

VERSIONS: tuple[Version, ...] = ("0.5.14", "0.5.18", "0.5.23")
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
LONG = {"max_new_tokens": 500, "ignore_eos": True}


async def test_one_prompt_is_an_object_a_list_is_a_list(client: Client) -> None:
    assert isinstance((await client.generate(max_new_tokens=1)).json(), dict)
    assert len((await client.generate([[10, 11]], max_new_tokens=1)).json()) == 1
    assert len((await client.generate(max_new_tokens=1, n=3)).json()) == 3
    assert (await client.generate(ids=None, text=[])).json() == []


async def test_a_batch_keeps_its_order_and_its_ids(client: Client) -> None:
    reply = await client.generate([[10, 11], [12, 13]], rid=["b", "a"], max_new_tokens=1)
    assert [each["meta_info"]["id"] for each in reply.json()] == ["b", "a"]
    reply = await client.generate([[10, 11], [12, 13]], rid="x", max_new_tokens=1)
    assert [each["meta_info"]["id"] for each in reply.json()] == ["x_0", "x_1"]


async def test_output_ids_decode_to_the_text(client: Client) -> None:
    reply = (await client.generate(max_new_tokens=8, ignore_eos=True, skip_special_tokens=False)).json()
    told = await client.post("/detokenize", tokens=reply["output_ids"], skip_special_tokens=False)
    assert told.json()["text"] == reply["text"]
    assert reply["meta_info"]["finish_reason"] == {"type": "length", "length": 8}


async def test_n_warms_the_prefix_in_a_request_that_nobody_sees(client: Client) -> None:
    samples = (await client.generate(list(range(10, 40)), rid="mine", n=3, max_new_tokens=2)).json()
    assert [each["meta_info"]["cached_tokens"] for each in samples] == [29] * 3
    assert "mine" not in {each["meta_info"]["id"] for each in samples}
    assert client.server.scheduler.counts["finished"] == 4
    assert client.server.scheduler.counts["prefill_compute"] == 30 + 3


@pytest.mark.parametrize("version", VERSIONS)
async def test_n_leaks_ids_before_0_5_23_unless_they_are_a_list(version: Any) -> None:
    async with open_client(FakeOptions(version=version)) as client:
        await client.generate([[10, 11]], rid=["a"], n=3, max_new_tokens=1)
        assert client.server.registered_rids == frozenset()
        await client.generate([[10, 11]], n=3, max_new_tokens=1)
        assert len(client.server.registered_rids) == (0 if version == "0.5.23" else 2)


async def test_extra_keys_are_namespaces(client: Client) -> None:
    cached: list[int] = []
    for key in ("a", "a", "b", ""):
        reply = await client.generate(list(range(10, 40)), extra_key=key, max_new_tokens=0)
        cached.append(reply.json()["meta_info"]["cached_tokens"])
    assert cached == [0, 29, 0, 0]


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_empty_extra_key_is_a_namespace_of_its_own_before_0_5_18(version: Any) -> None:
    async with open_client(FakeOptions(version=version)) as client:
        await client.generate(list(range(10, 40)), max_new_tokens=0)
        single = await client.generate(list(range(10, 40)), extra_key="", max_new_tokens=0)
        listed = await client.generate([list(range(10, 40))], extra_key=[""], max_new_tokens=0)
    cached = [reply["meta_info"]["cached_tokens"] for reply in (single.json(), *listed.json())]
    assert cached == ([0, 29] if version == "0.5.14" else [29, 29])


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


@pytest.mark.parametrize(
    ("version", "body"),
    [
        ("0.5.18", {"input_ids": [2048]}),
        ("0.5.18", {"input_ids": [-1]}),
        ("0.5.18", {"input_ids": [[]]}),
        ("0.5.18", {"input_ids": [5], "sampling_params": {"max_new_tokens": 2.5}}),
        ("0.5.18", {"input_ids": [5], "sampling_params": {"top_k": 2**31}}),
        ("0.5.23", {"input_ids": [5], "sampling_params": {"top_k": 2**31}}),
        ("0.5.18", {"input_ids": [5], "sampling_params": {"min_new_tokens": 1, "stop_token_ids": [10**6]}}),
        ("0.5.18", {"input_ids": [5], "sampling_params": {"min_new_tokens": 1, "stop_token_ids": list(range(2048))}}),
        ("0.5.18", {"input_ids": [5], "sampling_params": {"temperature": 1e308, "regex": "a"}}),
        ("0.5.18", {"input_ids": [5], "sampling_params": {"logit_bias": {"5": 1e308}}}),
        ("0.5.18", {"input_ids": [5], "sampling_params": {"logit_bias": {"5": 1e38}, "temperature": 1e-5}}),
        ("0.5.18", {"input_ids": [5], "sampling_params": {"repetition_penalty": 1e-45}}),
        ("0.5.18", {"input_ids": [5], "return_logprob": True, "top_logprobs_num": 2049}),
        ("0.5.23", {"input_ids": [5], "return_logprob": True, "top_logprobs_num": 2049}),
        ("0.5.23", {"text": ""}),
    ],
)
async def test_the_server_dies_of_what_kills_the_real_one(version: Any, body: dict[str, Any]) -> None:
    async with open_client(FakeOptions(version=version)) as client:
        with pytest.raises(httpx.TransportError):
            await client.http.post("/generate", json=body)
        assert client.server.died
        with pytest.raises(httpx.ConnectError):
            await client.get("/ping")
        await client.server.restart()
        assert (await client.get("/ping")).status_code == 200
        assert client.server.died is None
        assert client.server.scheduler.is_idle


async def test_0_5_23_survives_numbers_that_kill_0_5_18() -> None:
    async with open_client(FakeOptions(version="0.5.23")) as client:
        assert (await client.generate(repetition_penalty=1e-45, max_new_tokens=1)).status_code == 200


async def test_a_rid_in_flight_is_refused_and_free_again_after_its_end() -> None:
    clock = VirtualClock()
    async with open_client(clock=clock, costs=Costs(decode_step=1)) as client:
        first = asyncio.ensure_future(client.generate(rid="a", max_new_tokens=5, ignore_eos=True))
        await eventually(lambda: bool(client.server.scheduler.running))
        reply = await client.generate(rid="a")
        assert reply.json() == {"error": {"message": "Duplicate request ID detected: a"}}
        await clock.run(first)
        assert (await client.generate(rid="a", max_new_tokens=0)).status_code == 200


async def test_logprobs_have_the_shape_of_the_real_ones(client: Client) -> None:
    wishes = {"return_logprob": True, "top_logprobs_num": 2, "token_ids_logprob": [4, 9], "ignore_eos": True}
    meta = (await client.generate(**wishes, max_new_tokens=2)).json()["meta_info"]
    assert (meta["input_token_logprobs"], meta["input_top_logprobs"], meta["input_token_ids_logprobs"]) == ([], [], [])
    assert [len(each) for each in meta["output_token_logprobs"]] == [3, 3]
    assert [len(each) for each in meta["output_top_logprobs"]] == [2, 2]
    assert [[token for _, token, _ in each] for each in meta["output_token_ids_logprobs"]] == [[4, 9]] * 2
    meta = (await client.generate(**wishes, max_new_tokens=1, logprob_start_len=0, return_text_in_logprobs=True)).json()
    meta = meta["meta_info"]
    assert meta["cached_tokens"] == 0
    assert meta["input_token_logprobs"][0] == [None, 10, client.server.tokenizer.decode([10])]
    assert [len(meta[name]) for name in ("input_token_logprobs", "input_top_logprobs")] == [3, 3]
    assert meta["input_top_logprobs"][0] is None


async def test_in_a_prompt_the_last_id_of_the_vocabulary_is_called_0(client: Client) -> None:
    last = client.server.tokenizer.vocab_size - 1
    wishes = {"return_logprob": True, "logprob_start_len": 0, "max_new_tokens": 0}
    meta = (await client.generate([10, last - 1, last], **wishes)).json()["meta_info"]
    assert [token for _, token, _ in meta["input_token_logprobs"]] == [10, last - 1, 0]


async def test_label_probabilities_of_generate_and_of_score_agree(client: Client) -> None:
    reply = await client.generate([10, 11], return_logprob=True, token_ids_logprob=[4, 9], max_new_tokens=1)
    told = [value for value, _, _ in reply.json()["meta_info"]["output_token_ids_logprobs"][0]]
    scores = (await client.post("/v1/score", query=[10], items=[[11]], label_token_ids=[4, 9])).json()["scores"]
    assert [2.718281828459045**value for value in told] == pytest.approx(scores[0])


async def test_a_script_is_said_word_by_word_and_then_ends() -> None:
    model = ScriptedModel({"1 \\+ 1": ["It is 2.\n\nSure.", "Two."], "^fun": "ny"})
    async with open_client(model=model) as client:
        texts = [(await client.generate(None, text="1 + 1?")).json()["text"] for _ in range(3)]
        assert texts == ["It is 2.\n\nSure.", "Two.", "It is 2.\n\nSure."]
        step = (await client.generate(None, text="1 + 1?", stop="\n\n")).json()
        assert step["text"] == "Two."
        rest = await client.generate(None, text="1 + 1? It is 2.\n\n")
        assert rest.json()["text"] == "Sure."
    async with open_client(model=ScriptedModel(lambda prompt: prompt.upper())) as client:
        assert (await client.generate(None, text="so")).json()["text"] == "SO"


@pytest.mark.parametrize("incremental", [False, True])
async def test_streams_are_cumulative_or_incremental(*, incremental: bool) -> None:
    options = FakeOptions(incremental_streaming_output=incremental)
    async with open_client(options, model=ScriptedModel("It is два.\n\n")) as client:
        whole = (await client.generate(return_logprob=True)).json()
        events = await client.events(return_logprob=True)
        assert events[-1]["meta_info"]["finish_reason"] == {"type": "stop", "matched": 1}
        assert [event["meta_info"]["finish_reason"] for event in events[:-1]] == [None] * (len(events) - 1)
        if incremental:
            assert "".join(event["text"] for event in events) == whole["text"]
            assert [token for event in events for token in event["output_ids"]] == whole["output_ids"]
        else:
            assert events[-1]["text"] == whole["text"]
            assert [len(event["output_ids"]) for event in events] == list(range(1, len(events) + 1))


async def test_interleaved_streams_carry_an_index(client: Client) -> None:
    events = await client.events([[10, 11], [12, 13]], max_new_tokens=2, ignore_eos=True)
    assert sorted(event["index"] for event in events) == [0, 0, 1, 1]
    events = await client.events([10, 11], n=2, max_new_tokens=1)
    assert sorted(event["index"] for event in events) == [0, 1]


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


async def test_an_abort_reaches_all_ids_that_begin_so_but_only_through_a_known_one() -> None:
    clock = VirtualClock()
    async with open_client(clock=clock, costs=Costs(decode_step=1)) as client:
        rids = ["node-1", "node-10", "node-2"]
        call = asyncio.ensure_future(client.generate([[10], [11], [12]], rid=rids, **LONG))
        await eventually(lambda: len(client.server.scheduler.running) == 3)
        assert (await client.post("/abort_request", rid="node")).status_code == 200
        assert (await client.post("/abort_request", rid="")).status_code == 200
        await clock.advance(2)
        assert len(client.server.scheduler.running) == 3
        await client.post("/abort_request", rid="node-1")
        await clock.advance(1)
        assert [job.rid for job in client.server.scheduler.running] == ["node-2"]
        await client.post("/abort_request", abort_all=True)
        reply = (await clock.run(call)).json()
        kinds = [each["meta_info"]["finish_reason"]["type"] for each in reply]
        assert kinds == ["abort"] * 3
        assert [each["meta_info"]["completion_tokens"] for each in reply] == [4, 4, 5]


async def test_an_abort_does_not_find_samples_of_n() -> None:
    clock = VirtualClock()
    async with open_client(clock=clock, costs=Costs(decode_step=1)) as client:
        call = asyncio.ensure_future(client.generate([[10, 11]], rid=["mine"], n=2, max_new_tokens=5, ignore_eos=True))
        await eventually(lambda: len(client.server.scheduler.running) == 2)
        await client.post("/abort_request", rid="mine")
        reply = (await clock.run(call)).json()
        assert [each["meta_info"]["finish_reason"]["type"] for each in reply] == ["length"] * 2


@pytest.mark.parametrize(
    ("version", "stream", "fields", "seconds"),
    [
        ("0.5.14", False, {}, 4.0),
        ("0.5.18", False, {}, 4.0),
        ("0.5.23", False, {}, 4.0),
        ("0.5.14", True, {}, 2.0),
        ("0.5.18", True, {}, None),
        ("0.5.23", True, {}, 0.0),
        ("0.5.14", True, {"n": 2}, None),
        ("0.5.23", True, {"n": 2}, 0.0),
        ("0.5.14", False, {"background": True}, None),
    ],
)
async def test_a_client_that_leaves_is_noticed_as_late_as_the_version_does(
    version: Any, fields: dict[str, Any], seconds: float | None, *, stream: bool
) -> None:
    clock = VirtualClock()
    options = FakeOptions(version=version)
    async with open_client(options, clock=clock, costs=Costs(decode_step=0.1)) as client:
        call = asyncio.ensure_future(client.generate(stream=stream, **fields, **LONG))
        await eventually(lambda: bool(client.server.scheduler.running))
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await eventually(lambda: client.server.open_connections == 0)
        if seconds is None:
            await clock.advance(30)
            assert client.server.scheduler.running
            return
        await clock.advance(seconds - 0.05 if seconds else 0.0)
        assert bool(client.server.scheduler.running)
        await clock.advance(0.3)
        assert not client.server.scheduler.running


@pytest.mark.parametrize(("version", "left"), [("0.5.14", 0), ("0.5.18", 2), ("0.5.23", 0)])
async def test_of_a_batch_that_is_left_0_5_18_may_stop_one_sample_only(version: Any, left: int) -> None:
    clock = VirtualClock()
    async with open_client(FakeOptions(version=version), clock=clock, costs=Costs(decode_step=0.1)) as client:
        call = asyncio.ensure_future(client.generate([[10], [11], [12]], **LONG))
        await eventually(lambda: len(client.server.scheduler.running) == 3)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await clock.advance(4.5)
        assert len(client.server.scheduler.running) == left


async def test_virtual_time_is_what_the_costs_say() -> None:
    clock = VirtualClock()
    costs = Costs(prefill_token=0.1, decode_step=1.0, decode_sample=0.5, step=0.01)
    async with open_client(clock=clock, costs=costs) as client:
        reply = (await clock.run(client.generate([10] * 5, max_new_tokens=3, ignore_eos=True))).json()
        assert reply["meta_info"]["e2e_latency"] == pytest.approx(0.51 + 2 * 1.51)
        assert clock.now() == pytest.approx(0.51 + 2 * 1.51)


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


async def test_lists_of_wishes_are_each_of_its_prompt(client: Client) -> None:
    reply = await client.generate(
        [[10], [11]],
        return_logprob=[True, False],
        token_ids_logprob=[[4], [9]],
        return_prompt_token_ids=True,
        extra_key=["a", "b"],
        max_new_tokens=1,
    )
    first, second = reply.json()
    assert first["meta_info"]["output_token_ids_logprobs"][0][0][1] == 4
    assert "output_token_logprobs" not in second["meta_info"]
    assert [first["prompt_token_ids"], second["prompt_token_ids"]] == [[10], [11]]


WISHES: dict[str, Any] = {"return_logprob": True, "token_ids_logprob": [4]}


@asynccontextmanager
async def meeting(version: Version, *, plain: dict[str, Any], wishing: dict[str, Any]) -> AsyncIterator[Client]:
    """A server that computes two prompts in one step, only the second of which comes with `token_ids_logprob`."""
    clock = VirtualClock()
    async with open_client(FakeOptions(version=version), clock=clock, costs=Costs(step=1.0)) as client:
        first = asyncio.create_task(client.generate([9], max_new_tokens=0))
        await eventually(lambda: client.server.registered_rids != frozenset())
        await clock.advance(0.5)
        tasks = [
            first,
            *(asyncio.create_task(client.generate([10], **each)) for each in (plain, {**WISHES, **wishing})),
        ]
        await eventually(lambda: len(client.server.scheduler.waiting) == 2)
        await clock.advance(5)
        yield client
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("plain", "wishing"), [(1, 1), (0, 1), (1, 0)])
async def test_prompts_with_and_without_token_ids_logprob_in_one_step_kill_the_older(
    version: Version, plain: int, wishing: int
) -> None:
    made = {"plain": {"max_new_tokens": plain}, "wishing": {"max_new_tokens": wishing}}
    async with meeting(version, **made) as client:
        died = None if version == "0.5.23" else """FatalError("'list' object has no attribute 'tolist'")"""
        assert client.server.died == died


async def test_the_two_kinds_do_not_kill_where_nothing_is_generated() -> None:
    async with meeting("0.5.18", plain={"max_new_tokens": 0}, wishing={"max_new_tokens": 0}) as client:
        assert client.server.died is None


async def test_ids_named_without_wanting_log_probabilities_do_not_kill() -> None:
    fields = {"return_logprob": False, "max_new_tokens": 1}
    async with meeting("0.5.18", plain={"max_new_tokens": 1}, wishing=fields) as client:
        assert client.server.died is None


async def test_the_two_kinds_kill_0_5_18_when_they_decode_together() -> None:
    clock = VirtualClock()
    async with open_client(clock=clock, costs=Costs(step=1.0)) as client:
        tasks: list[asyncio.Task[Any]] = []
        for ids, wishes in ((10, {}), (11, WISHES)):
            assert client.server.died is None
            tasks.append(asyncio.create_task(client.generate([ids], **wishes, **LONG)))
            await eventually(lambda: len(client.server.registered_rids) == len(tasks))
            await clock.advance(3)
        assert client.server.died is not None
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(end, httpx.TransportError) for end in ends] == [True, True]


async def test_a_sample_refused_by_the_scheduler_fails_its_whole_request(client: Client) -> None:
    reply = await client.generate([[5], [5] * 2042], max_new_tokens=1)
    assert reply.status_code == 400
    assert (await client.generate([5] * 2042, n=2, max_new_tokens=1)).status_code == 400
    await eventually(lambda: client.server.scheduler.is_idle)


async def test_an_error_inside_the_model_ends_the_server() -> None:
    def broken(prompt: str) -> str:
        raise LookupError(prompt)

    async with open_client(model=ScriptedModel(broken)) as client:
        with pytest.raises(httpx.TransportError):
            await client.generate(None, text="a")
        assert client.server.died == "LookupError('a')"
