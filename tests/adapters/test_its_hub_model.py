"""A policy as its_hub's language model."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from its_hub.api import ChatMessage, GenerationUsage
from its_hub.core.algorithms.beam_search import BeamSearch
from its_hub.core.lms.step_generation import StepGeneration

from ets_client import (
    AsyncPolicyClient,
    ConfigurationError,
    EndReason,
    InvalidRequestError,
    PolicyClient,
    RequestError,
    RetryPolicy,
    UnsupportedError,
    load_profile,
)
from ets_client.adapters.its_hub import PolicyLanguageModel, ProcessReward
from ets_client.profiles import ChatPrompt, Shot, Turn
from ets_client.search import least_prefill
from ets_client.testing import Costs, FakeServer, FaultPlan, ScriptedModel, ServerError
from tests.adapters.its_hub_rig import ENDLESS, QUESTION, STOP, Counted, asked, by_length, scripted, steps, tiny


async def test_text_is_what_the_tokens_say_though_a_stop_ends_inside_a_token() -> None:
    # The last token is two line ends, the stop is one.
    async with scripted("It is 2 + 2\n\nis 4\n\nso 4\n\nend") as (server, client):
        model, counted = PolicyLanguageModel(client), Counted(server)
        first = await model.agenerate(asked(), stop="\n")
        assert first == {"role": "assistant", "content": "It is 2 + 2"}
        second = await model.agenerate(asked("It is 2 + 2\n"), stop="\n")
        assert second == {"role": "assistant", "content": "\nis 4"}
        third = await model.agenerate(asked("It is 2 + 2\n\nis 4\n"), stop="\n", include_stop_str_in_output=True)
        assert third == {"role": "assistant", "content": "\nso 4\n"}
        root = await client.root(QUESTION)
        assert counted["prefill_compute"] == least_prefill(root, [], 3)
        path = await model.scored_path(asked("It is 2 + 2\n\nis 4\n\nso 4"))
        assert [each.step_text for each in path.prefix.path[1:]] == ["It is 2 + 2\n\n", "is 4\n\n", "so 4\n\n"]


async def test_a_caller_that_leaves_the_stop_out_gets_it_with_the_next_step() -> None:
    async with scripted("It is 2 + 2\n\nis 4") as (_, client):
        model = PolicyLanguageModel(client)
        await model.agenerate(asked(), stop=STOP)
        assert await model.agenerate(asked("It is 2 + 2"), stop=STOP) == {"role": "assistant", "content": "\n\nis 4"}


async def test_an_empty_step_is_not_its_parent() -> None:
    answers = iter(["\n\nleft", "right\n\n"])
    async with scripted(lambda _: next(answers)) as (_, client):
        model = PolicyLanguageModel(client)
        assert (await model.agenerate_single(asked(), stop=STOP))["content"] == ""
        assert (await model.agenerate_single(asked(), stop=STOP))["content"] == "right"


async def test_a_path_that_the_model_ended_is_not_sent_again() -> None:
    async with scripted("It is 2 + 2\n\nis 4") as (server, client):
        model, counted = PolicyLanguageModel(client), Counted(server)
        algorithm = BeamSearch(steps(keeps_stop=False), ProcessReward(model, by_length), beam_width=1)
        result: Any = await algorithm.ainfer(model, QUESTION, budget=2, return_response_only=False)
        assert counted["finished"] == 2 * 2
        assert result.the_one["content"].rstrip() == "It is 2 + 2\n\nis 4"
        # What somebody writes behind it is gone on with, from the tokens that the model wrote.
        counted = Counted(server)
        await model.agenerate(asked("It is 2 + 2\n\nis 4\n\nOr"), stop=STOP)
        assert counted["finished"] == 1
        assert counted["prefill_compute"] == len(await client.tokenize("\n\nOr"))


@pytest.mark.parametrize("keeps_stop", [False, True])
async def test_its_hub_sees_an_end_by_the_end_mark(*, keeps_stop: bool) -> None:
    async with scripted("It is 2 + 2\n\nis 4") as (_, client):
        model = PolicyLanguageModel(client, end_mark="<end>")
        generation = steps(keeps_stop=keeps_stop, stop_token="<end>")
        algorithm = BeamSearch(generation, ProcessReward(model, by_length), beam_width=1)
        result: Any = await algorithm.ainfer(model, QUESTION, budget=2, return_response_only=False)
        assert result.steps_used == [2, 2]
        assert result.the_one["content"].removesuffix("<end>") == "It is 2 + 2\n\nis 4"
        assert (await model.agenerate_single(asked("It is 2 + 2\n\nis 4"), stop=STOP))["content"] == "<end>"
        assert (await model.agenerate_single(asked("It is 2 + 2\n\nis 4<end>"), stop=STOP))["content"] == ""


async def test_a_path_without_room_ends() -> None:
    async with (
        FakeServer(model=ENDLESS) as server,
        AsyncPolicyClient(server.base_url, tiny(max_path_tokens=8)) as client,
    ):
        model = PolicyLanguageModel(client, end_mark="<end>")
        whole = (await model.agenerate_single(asked()))["content"]
        counted = Counted(server)
        assert (await model.agenerate_single(asked(whole), stop=STOP))["content"] == "<end>"
        assert (await model.agenerate_single(asked(whole)))["content"] == "<end>"
        assert counted.posts == 0
        assert (await model.scored_path(asked(f"{whole}<end>"))).branch.text == whole
        # Who says how long it shall be is not held by the profile's paths.
        longer = await model.agenerate_single(asked(whole), max_completion_tokens=5)
        assert len(await client.tokenize(longer["content"])) >= 2
        with pytest.raises(InvalidRequestError, match="prefix"):
            await model.agenerate_single(asked(question="long " * 3000))


async def test_a_step_that_met_its_length_is_gone_on_with_as_its_hub_joins_it() -> None:
    async with FakeServer(model=ENDLESS) as server, AsyncPolicyClient(server.base_url, "tiny") as client:
        model = PolicyLanguageModel(client)
        first = (await model.agenerate_single(asked(), stop=STOP, max_completion_tokens=5))["content"]
        counted = Counted(server)
        await model.agenerate([asked(first + STOP)] * 3, stop=STOP)
        assert counted["prefill_compute"] == 1 + 3  # the stop, once, and the last token of each
        written = (await model.scored_path(asked(first + STOP))).branch
        assert (written.text, len(written.token_ids), written.end) == (STOP, 1, EndReason.UNKNOWN)
        counted = Counted(server)
        by_tokens = StepGeneration(max_steps=3, tokens_per_step=4)
        algorithm = BeamSearch(by_tokens, ProcessReward(model, by_length), beam_width=2)
        result: Any = await algorithm.ainfer(model, QUESTION, budget=4, return_response_only=False)
        assert counted["prefill_compute"] == counted["finished"] == 2 + 3 * 4
        path = await model.scored_path(asked(result.the_one["content"]))
        assert [len(each.step_token_ids) for each in path.prefix.path[1:]] == [4] * 4


def test_generate_waits_in_its_thread(threaded: tuple[FakeServer, PolicyClient]) -> None:
    server, client = threaded
    model, counted = PolicyLanguageModel(client), Counted(server)
    many = model.generate([asked()] * 3 + [asked(question="Why?")], stop=STOP)
    assert isinstance(many, list)
    assert [each["role"] for each in many] == ["assistant"] * 4
    one = model.generate(asked(f"{many[0]['content']}{STOP}"), stop=STOP)
    assert isinstance(one, dict)
    assert counted["finished"] == 5


@pytest.mark.parametrize("call", ["generate", "agenerate"])
def test_a_chat_and_a_begun_response_go_on_in_any_thread(call: str) -> None:
    turn = Turn(before="", after="\n")
    prompt = ChatPrompt(system=turn, user=turn, assistant=turn)
    profile = tiny().model_copy(update={"prompt": prompt})
    with (
        FakeServer(model=ScriptedModel("It is 2 + 2\n\nis 4")) as server,
        PolicyClient(server.base_url, profile, check_profile=False) as client,
    ):
        model = PolicyLanguageModel(client)
        messages = [ChatMessage(role="system", content="Be short."), *asked("It is 2 ")]
        given = getattr(model, call)(messages)
        answer = given if isinstance(given, dict) else asyncio.run(given)
    assert answer["content"] == "+ 2\n\nis 4"


async def test_generate_works_where_a_loop_runs(threaded: tuple[FakeServer, PolicyClient]) -> None:
    model = PolicyLanguageModel(threaded[1])
    assert isinstance(model.generate(asked(), stop=STOP, max_completion_tokens=4), dict)
    assert isinstance(await model.agenerate(asked(), stop=STOP, max_completion_tokens=4), dict)


async def test_generate_needs_a_client_of_threads(client: AsyncPolicyClient) -> None:
    with pytest.raises(ConfigurationError, match="give the model a PolicyClient"):
        PolicyLanguageModel(client).generate(asked())
    with pytest.raises(ConfigurationError, match="remember = 0"):
        PolicyLanguageModel(client, remember=0)


def test_when_one_of_a_batch_fails_the_others_are_stopped() -> None:
    once = RetryPolicy(attempts=1, first_wait=0.0, most_wait=0.0)
    batch = [asked(), asked(question="Why?"), asked(question="Who?")]
    # No one of the others would end: each has a step of its own to write for ever.
    faults, slow = FaultPlan(), Costs(decode_step=1000.0)
    with (
        FakeServer(model=ENDLESS, faults=faults, costs=slow) as server,
        PolicyClient(server.base_url, "tiny", retry=once) as client,
    ):
        model = PolicyLanguageModel(client)
        for call in (model.generate, lambda messages: asyncio.run(model.agenerate(messages))):
            faults.clear()
            faults.on(ServerError(), path="/generate", nth=2, times=1)
            with pytest.raises(RequestError):
                call(batch)


async def test_a_batch_keeps_its_order_and_each_has_its_temperature() -> None:
    model_of = ScriptedModel({"Why": "because", "Who": "me", "legs": "twelve"})
    async with FakeServer(model=model_of) as server, AsyncPolicyClient(server.base_url, "tiny") as client:
        model, usage = PolicyLanguageModel(client), GenerationUsage()
        questions = ["Why?", "How many legs?", "Who?", "Why?"]
        counted = Counted(server)
        answers = await model.agenerate(
            [asked(question=question) for question in questions],
            temperature=[0.0, None, 0.5, 0.9],
            usage_accumulator=usage,
        )
        assert isinstance(answers, list)
        assert [answer["content"] for answer in answers] == ["because", "twelve", "me", "because"]
        assert (usage.num_calls, counted.posts) == (4, 4)
        with pytest.raises(InvalidRequestError, match="temperature"):
            await model.agenerate([asked()] * 3, temperature=[0.1, 0.2])
        assert await model.agenerate([]) == []


async def test_a_question_gets_the_profiles_prompt_and_a_chat_is_sent_as_it_is() -> None:
    turns = {role: Turn(before=f"<{role}>", after="\n") for role in ("system", "user", "assistant")}
    prompt = ChatPrompt(system_prompt="Be short.", shots=(Shot(question="1 + 1?", solution="2"),), **turns)
    profile = load_profile("tiny").model_copy(update={"prompt": prompt})
    async with FakeServer() as server, AsyncPolicyClient(server.base_url, profile, check_profile=False) as client:
        model = PolicyLanguageModel(client)

        async def prompt_of(*messages: Any) -> str:
            return (await model.scored_path([*messages])).prefix.root.text

        system, user = {"role": "system", "content": "Be long."}, {"role": "user", "content": "2 + 2?"}
        shot = "<user>1 + 1?\n<assistant>2\n"
        assert await prompt_of(user) == f"<system>Be short.\n{shot}<user>2 + 2?\n<assistant>"
        assert await prompt_of(system, user) == "<system>Be long.\n<user>2 + 2?\n<assistant>"
        parts = {"role": "user", "content": [{"type": "text", "text": "2 + 2?"}]}
        assert await prompt_of(parts) == await prompt_of(ChatMessage(role="user", content="2 + 2?"))
        said = {"role": "assistant", "content": "It is"}
        path = await model.scored_path([system, user, said])
        assert path.prefix.text == "<system>Be long.\n<user>2 + 2?\n<assistant>It is"
        assert (path.problem, path.branch.text, path.branch.end) == ("2 + 2?", "It is", EndReason.UNKNOWN)
        assert (await model.scored_path([user])).branch.token_ids == ()
        with pytest.raises(InvalidRequestError, match=r"messages\[0\].content"):
            await prompt_of({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]})
        with pytest.raises(UnsupportedError, match=r"messages\[1\] with a tool"):
            await prompt_of(user, {"role": "tool", "content": "4"})
        with pytest.raises(UnsupportedError, match=r"messages\[1\] with a tool"):
            await prompt_of(user, ChatMessage(role="assistant", content=None, tool_calls=[{"function": {}}]))


async def test_a_text_that_was_forgotten_is_tokenised(server: FakeServer, client: AsyncPolicyClient) -> None:
    model = PolicyLanguageModel(client, remember=3)
    first = (await model.agenerate_single(asked(), stop=STOP))["content"]
    await model.agenerate([asked(question=f"{number}?") for number in range(3)], stop=STOP)
    path = await model.scored_path(asked(first + STOP))
    root = await client.root(QUESTION)
    assert path.prefix.text == f"{root.text}{first}{STOP}"
    assert path.prefix.token_ids == [*root.token_ids, *await client.tokenize(first + STOP)]
