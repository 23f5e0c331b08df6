from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ets_client import (
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    Profile,
    RetryPolicy,
    SamplingParams,
    ServerFaultError,
    load_profile,
)
from ets_client._engine.connect import Connection, connect
from ets_client.profiles import CompletionPrompt, ServerChatPrompt, Steps
from tests.fakes import MODEL_INFO, MODELS, SERVER_INFO, Rig, reply

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes import Entry

PROFILE = Profile(name="p", prompt=CompletionPrompt(), steps=Steps(delimiters=("\n",)))
FACTS = (reply(MODEL_INFO), reply(MODELS), reply(SERVER_INFO))


async def meet(*script: Entry, profile: Any = PROFILE) -> tuple[Connection, Rig]:
    rig = Rig(*script, policy=RetryPolicy(attempts=1))
    return await connect(rig.caller, profile, 60, sampling=SamplingParams()), rig


async def test_first_contact_asks_three_questions_on_the_control_lane() -> None:
    connection, rig = await meet(*FACTS)
    assert [request.url for request in rig.transport.requests] == [
        f"http://server/{path}" for path in ("model_info", "v1/models", "server_info")
    ]
    assert {request.lane for request in rig.transport.requests} == {"control"}
    assert connection.info.context_length == 2048
    assert connection.profile is PROFILE


async def test_a_profile_may_be_given_by_name() -> None:
    connection, _ = await meet(*FACTS, profile="tiny")
    assert connection.profile == load_profile("tiny")


async def test_an_unknown_profile_is_refused_before_anything_is_sent() -> None:
    rig = Rig()
    with pytest.raises(ConfigurationError, match="no profile 'none'"):
        await connect(rig.caller, "none", 60, sampling=SamplingParams())
    assert rig.transport.requests == []


@pytest.mark.parametrize(
    ("answer", "prompt", "words"),
    [
        (reply({"tokens": [1]}), ServerChatPrompt(), "the chat template of its tokenizer"),
        (reply({"error": "no template"}, 400), CompletionPrompt(), "plain text"),
        (reply(b"Internal Server Error", 500), CompletionPrompt(), "plain text"),
    ],
)
async def test_without_a_profile_a_generic_one_is_derived_and_that_is_said(
    answer: Entry, prompt: object, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    connection, _ = await meet(*FACTS, answer, profile=None)
    assert (connection.profile.name, connection.profile.prompt) == ("generic", prompt)
    assert connection.profile.steps.delimiters == ("\n\n",)
    assert words in caplog.text


async def test_a_server_that_cannot_be_asked_for_its_template_is_not_taken_for_one_without() -> None:
    with pytest.raises(AuthenticationError):
        await meet(*FACTS, reply({"error": "Unauthorized"}, 401), profile=None)


async def test_a_reply_of_something_else_is_an_error_that_does_not_quote_the_keys() -> None:
    broken = reply({"api_key": "sk-server-secret"})
    with pytest.raises(ServerFaultError, match="/server_info is not what SGLang sends: ServerInfo: max_req") as caught:
        await meet(*FACTS[:2], broken, broken)
    assert "sk-server-secret" not in str(caught.value) + caught.value.body + repr(caught.value.attempts)


@pytest.mark.parametrize(
    ("stated", "config", "size"),
    [
        (None, '{"vocab_size": 50}', 50),
        (50, '{"vocab_size": 50}', 50),
        (40, None, 40),
        (40, "[]", 40),
        (40, "{", 40),
        (40, '{"vocab_size": "many"}', 40),
        (None, None, None),
    ],
)
async def test_the_vocabulary_is_that_of_the_profile_or_of_the_models_folder(
    tmp_path: Path, stated: int | None, config: str | None, size: int | None
) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    connection, _ = await meet(
        reply(MODEL_INFO | {"model_path": str(tmp_path)}), *FACTS[1:], reply({"text": "x"}), profile=stating(stated)
    )
    if size is None:
        with pytest.raises(InvalidRequestError, match="vocab_size"):
            await connection.prepare.prefix([0])
        return
    with pytest.raises(InvalidRequestError, match=f"from 0 to {size - 1}"):
        await connection.prepare.prefix([size])
    assert (await connection.prepare.prefix([size - 1])).token_ids == [size - 1]


async def test_a_profile_of_another_vocabulary_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"vocab_size": 50}))
    with pytest.raises(ConfigurationError, match=r"a vocabulary of 40 tokens, the server's model .* has 50"):
        await meet(reply(MODEL_INFO | {"model_path": str(tmp_path)}), *FACTS[1:], profile=stating(40))


def stating(vocab_size: int | None) -> Profile:
    source = {"kind": "hub", "id": "owner/name"}
    model = {"source": source, "vocab_size": vocab_size}
    return Profile.model_validate(PROFILE.model_dump() | {"model": model})


@pytest.mark.parametrize(("interval", "limit"), [(None, 64 + 16), (0.1, 64)])
async def test_departures_leave_nothing_to_wait_in_the_queue_of_a_server_that_bounds_what_runs(
    interval: float | None, limit: int
) -> None:
    bounded = SERVER_INFO | {"cuda_graph_config": {"decode": {"backend": "full", "max_bs": 64}}}
    info = reply(bounded | {"max_running_requests": 64})
    rig = Rig(reply(MODEL_INFO), reply(MODELS), info, policy=RetryPolicy(attempts=1))
    connection = await connect(
        rig.caller, PROFILE, 60, sampling=SamplingParams(), admission="adaptive", departure_interval=interval
    )
    assert connection.admitter is not None
    assert connection.admitter.limit == limit
