from __future__ import annotations

from typing import Any

import pytest

from ets_client.testing import Costs, FakeOptions, ScriptedModel, VirtualClock
from tests.testing.conftest import VERSIONS, Client, open_client


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


async def test_virtual_time_is_what_the_costs_say() -> None:
    clock = VirtualClock()
    costs = Costs(prefill_token=0.1, decode_step=1.0, decode_sample=0.5, step=0.01)
    async with open_client(clock=clock, costs=costs) as client:
        reply = (await clock.run(client.generate([10] * 5, max_new_tokens=3, ignore_eos=True))).json()
        assert reply["meta_info"]["e2e_latency"] == pytest.approx(0.51 + 2 * 1.51)
        assert clock.now() == pytest.approx(0.51 + 2 * 1.51)


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
