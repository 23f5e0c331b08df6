from __future__ import annotations

import asyncio
import json
import logging
import re
import traceback
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import respx

from ets_client import (
    AsyncPolicyClient,
    AuthenticationError,
    ConfigurationError,
    DeadlineExceededError,
    Endpoint,
    EndReason,
    EtsClientError,
    FailureKind,
    InvalidRequestError,
    Origin,
    Prefix,
    RequestError,
    RequestRejectedError,
    RetryPolicy,
    SamplingParams,
    SeedIgnoredWarning,
    ServerBusyError,
    ServerFaultError,
    ServerMetrics,
    ServerUnreachableError,
    Usage,
    load_profile,
)
from tests.fakes import Clock, FakeServer, eventually, sample

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Call = Callable[[AsyncPolicyClient], Awaitable[object]]

QUESTION = "How many apples has Tom, who has 3 boxes of 4?"
FULL = httpx.Response(503, json={"object": "error", "message": "The request queue is full.", "code": 503})
IMPATIENT = RetryPolicy(first_wait=0, most_wait=0)


def moved(path: Path, port: int, **fields: Any) -> Path:
    Endpoint(**{"host": "127.0.0.1", "port": port, "model": "m", "start_id": str(port)} | fields).write(path)
    return path


class TestFirstContact:
    async def test_the_server_is_asked_what_it_is_and_nothing_is_generated(self, server: FakeServer) -> None:
        async with AsyncPolicyClient(profile="tiny") as client:
            paths = [request.url.path for request in server.requests]
            assert paths[:3] == ["/model_info", "/v1/models", "/server_info"]
            assert paths[3:] == ["/tokenize", "/tokenize", "/detokenize"]  # the profile's check
            assert client.profile == load_profile("tiny")
            assert repr(client) == "AsyncPolicyClient(http://127.0.0.1:30000, tiny, 0 warm tokens)"
        assert repr(client) == "AsyncPolicyClient(http://127.0.0.1:30000, closed)"

    @pytest.mark.parametrize(("has_template", "words"), [(True, "chat template"), (False, "plain text")])
    async def test_without_a_profile_a_generic_one_is_derived_with_a_warning(
        self, server: FakeServer, caplog: pytest.LogCaptureFixture, *, has_template: bool, words: str
    ) -> None:
        server.has_chat_template = has_template
        async with AsyncPolicyClient() as client:
            root = await client.root("1 + 1")
        assert client._wanted_profile is None
        assert [record.levelname for record in caplog.records if words in record.message] == ["WARNING"]
        assert root.text == ("user:1 + 1;" if has_template else "1 + 1\n")

    async def test_a_profile_of_another_vocabulary_than_the_models_is_refused(
        self, server: FakeServer, tmp_path: Path
    ) -> None:
        (tmp_path / "config.json").write_text(json.dumps({"vocab_size": 32000}))
        server.model_info["model_path"] = str(tmp_path)
        with pytest.raises(ConfigurationError, match="a vocabulary of 2048 tokens"):
            async with AsyncPolicyClient(profile="tiny"):
                pass

    async def test_something_that_is_not_sglang_is_said_so(self, server: FakeServer) -> None:
        server.overrides["/server_info"] = [httpx.Response(200, text="<html>sk-server-secret")] * 2
        with pytest.raises(ServerFaultError, match="not what SGLang sends") as caught:
            async with AsyncPolicyClient(profile="tiny", retry=IMPATIENT):
                pass
        assert caught.value.body == ""

    async def test_no_server_is_said_with_a_hint(self, server: FakeServer) -> None:
        server.overrides["/model_info"] = [httpx.ConnectError("refused")] * 5
        with pytest.raises(ServerUnreachableError, match=r"`ets-server up` starts one.*5 attempts"):
            async with AsyncPolicyClient(profile="tiny", retry=IMPATIENT):
                pass


class TestExpand:
    async def test_a_warm_prefix_is_exactly_one_post(self, server: FakeServer, client: AsyncPolicyClient) -> None:
        root = await client.root(QUESTION)
        parent = (await client.expand(root, n=1))[0]
        server.requests.clear()
        expansion = await client.expand(parent.prefix, n=8, sampling=SamplingParams(temperature=0.5))
        (body,) = server.bodies("/generate")
        assert body["input_ids"] == [parent.prefix.token_ids] * 8
        assert len(set(body["rid"])) == 8
        assert all(re.fullmatch("[0-9a-f]{32}", rid) for rid in body["rid"])
        wanted = {"max_new_tokens": 32, "temperature": 0.5, "stop": ["\n\n"]}
        assert body["sampling_params"] == [wanted] * 8
        assert [branch.rid for branch in expansion] == body["rid"]
        assert [request.url.path for request in server.requests] == ["/generate"]

    async def test_the_first_sample_of_a_cold_prefix_goes_alone(
        self, server: FakeServer, client: AsyncPolicyClient
    ) -> None:
        root = await client.root(QUESTION)
        expansion = await client.expand(root, n=4)
        leader, batch = server.bodies("/generate")
        assert leader["stream"] is True
        assert leader["input_ids"] == [root.token_ids]
        wanted = {"max_new_tokens": 32, "temperature": 1.0, "stop": ["\n\n"]}
        assert leader["sampling_params"] == [wanted | {"stream_interval": 33}]
        assert batch["sampling_params"] == [wanted] * 3
        assert [branch.rid for branch in expansion] == leader["rid"] + batch["rid"]
        assert expansion.plan == "the first sample computes 46 cold tokens, then one batch of 3"
        assert expansion.warm_usage == Usage()
        await client.expand(root, n=4)
        assert len(server.leaders) == 1

    async def test_concurrent_expands_of_one_cold_root_have_one_leader(
        self, server: FakeServer, client: AsyncPolicyClient
    ) -> None:
        root = await client.root(QUESTION)
        expansions = await asyncio.gather(*(client.expand(root, n=2) for _ in range(10)))
        assert (len(server.leaders), len(server.batches)) == (1, 11)
        assert [len(expansion) for expansion in expansions] == [2] * 10
        plans = [expansion.plan for expansion in expansions]
        assert (
            plans
            == ["the first sample computes 46 cold tokens, then the other one"]
            + ["one batch of 2: the prefix is warm"] * 9
        )

    async def test_a_leader_that_fails_hands_over(self, server: FakeServer, client: AsyncPolicyClient) -> None:
        root = await client.root(QUESTION)
        server.overrides["/generate"] = [httpx.Response(400, json={"error": "no"})]
        results = await asyncio.gather(*(client.expand(root, n=2) for _ in range(3)), return_exceptions=True)
        assert sorted(type(result).__name__ for result in results) == ["Expansion", "Expansion", "RequestRejectedError"]
        assert len(server.leaders) == 2

    async def test_a_leader_that_is_cancelled_hands_over(self, server: FakeServer, client: AsyncPolicyClient) -> None:
        root = await client.root(QUESTION)
        server.open.clear()
        leader, other = (asyncio.create_task(client.expand(root, n=2)) for _ in range(2))
        await eventually(lambda: len(server.leaders) == 1)
        leader.cancel()
        await eventually(lambda: len(server.leaders) == 2)
        await eventually(lambda: server.aborted == server.dropped == set(server.leaders[0]["rid"]))
        server.open.set()
        assert len(await other) == 2
        assert leader.cancelled()
        assert len(server.leaders) == 2

    async def test_a_childs_ids_are_its_parents_and_its_steps(
        self, server: FakeServer, client: AsyncPolicyClient
    ) -> None:
        server.answer = lambda rid, params, prompt: sample(rid, (98, 99, 300), prompt=prompt)
        root = await client.root(QUESTION)
        child = (await client.expand(root, n=2))[1]
        grandchild = (await client.expand(child, n=1))[0]
        assert child.prefix.token_ids == [*root.token_ids, 98, 99, 300]
        assert server.batches[-1]["input_ids"] == [child.prefix.token_ids]
        assert grandchild.prefix.parent is child.prefix
        assert grandchild.prefix.text == f"{QUESTION}\nbc\n\nbc\n\n"

    async def test_text_ids_and_branches_are_prefixes_too(self, server: FakeServer, client: AsyncPolicyClient) -> None:
        by_text = await client.expand("ab", n=1)
        by_ids = await client.expand([97, 98], n=1)
        assert by_text.prefix == by_ids.prefix == await client.prefix("ab")

    @pytest.mark.parametrize(
        ("ids", "text", "overshoot"),
        [
            ((97, 10, 10), "a", ""),
            ((97, 300), "a", ""),
            ((97, 302), "a.", ""),
            ((97, 301), "a.", "Next"),
            ((300,), "", ""),
        ],
    )
    async def test_text_ends_before_the_stop_and_what_follows_it_is_overshoot(
        self, server: FakeServer, client: AsyncPolicyClient, ids: tuple[int, ...], text: str, overshoot: str
    ) -> None:
        server.answer = lambda rid, params, prompt: sample(rid, ids)
        branch = (await client.expand("q", n=1))[0]
        assert (branch.text, branch.end, branch.matched) == (text, EndReason.DELIMITER, "\n\n")
        assert branch.overshoot == overshoot
        assert branch.token_ids == ids
        assert branch.prefix.step_text == f"{text}\n\n{overshoot}"

    @pytest.mark.parametrize(
        ("finish", "end", "matched"),
        [
            ({"type": "stop", "matched": "\n\n"}, EndReason.DELIMITER, "\n\n"),
            ({"type": "stop", "matched": 1}, EndReason.EOS, 1),
            ({"type": "stop", "matched": 7}, EndReason.STOP_TOKEN, 7),
            ({"type": "stop", "matched": "[0-9]"}, EndReason.STOP_REGEX, "[0-9]"),
            ({"type": "stop", "matched": "NaN happened"}, EndReason.FAILED, "NaN happened"),
            ({"type": "length", "length": 2}, EndReason.STEP_LENGTH, None),
            ({"type": "abort", "message": "Aborted"}, EndReason.ABORTED, None),
            ({"type": "of next year"}, EndReason.UNKNOWN, None),
        ],
    )
    async def test_each_way_to_end_has_its_reason(
        self, server: FakeServer, client: AsyncPolicyClient, finish: dict[str, Any], end: EndReason, matched: object
    ) -> None:
        server.answer = lambda rid, params, prompt: sample(rid, (97, 300), finish)
        sampling = SamplingParams(max_new_tokens=2, stop_token_ids=(7,), stop_regex=("[0-9]",))
        branch = (await client.expand("q", n=1, sampling=sampling))[0]
        assert (branch.end, branch.matched) == (end, matched)

    async def test_the_end_of_the_path_is_told_from_that_of_a_step(
        self, server: FakeServer, client: AsyncPolicyClient
    ) -> None:
        def to_the_limit(rid: str, params: dict[str, Any], prompt: int) -> dict[str, Any]:
            return sample(rid, (97,) * params["max_new_tokens"], {"type": "length", "length": params["max_new_tokens"]})

        server.answer = to_the_limit
        branch = (await client.expand("q", n=1))[0]
        lengths = [len(branch.token_ids)]
        while branch.is_open:
            branch = (await client.expand(branch, n=1))[0]
            lengths.append(len(branch.token_ids))
        assert lengths == [32] * 16  # the profile's step and path length
        assert branch.end is EndReason.PATH_LENGTH
        with pytest.raises(InvalidRequestError, match="no room"):
            await client.expand(branch, n=1)

    async def test_logprobs_come_when_asked_for(self, server: FakeServer, client: AsyncPolicyClient) -> None:
        raw = [[None, 97, None], [-2.5, 300, None]]
        server.answer = lambda rid, params, prompt: sample(rid, output_token_logprobs=raw)
        asked = (await client.expand("q", n=1, logprobs=True))[0]
        assert asked.logprobs is not None
        assert asked.logprobs.values == (float("-inf"), -2.5)
        assert (await client.expand("q", n=1))[0].logprobs is None
        assert [body.get("return_logprob") for body in server.batches] == [True, None]

    async def test_usage_is_the_servers(self, server: FakeServer, client: AsyncPolicyClient) -> None:
        root = await client.root(QUESTION)
        expansion = await client.expand(root, n=3)
        assert expansion[0].usage == Usage(len(root), len(root) - 1, 2)
        assert expansion.usage.prompt_tokens == 3 * len(root)
        assert expansion.seconds > 0

    async def test_a_namespace_is_kept_by_a_whole_tree(self, server: FakeServer, client: AsyncPolicyClient) -> None:
        root = await client.root(QUESTION, namespace="tree-1")
        child = (await client.expand(root, n=2))[0]
        await client.expand(child, n=2)
        assert [set(body["extra_key"]) for body in server.bodies("/generate")] == [{"tree-1"}] * 3
        await client.expand(await client.root(QUESTION), n=2)
        assert len(server.leaders) == 2
        assert "extra_key" not in server.leaders[-1]

    async def test_siblings_have_their_own_seeds_in_order(self, server: FakeServer, client: AsyncPolicyClient) -> None:
        with pytest.warns(SeedIgnoredWarning):
            await client.expand("q", n=3, sampling=SamplingParams(seed=7))
        assert [params["sampling_seed"] for params in server.batches[0]["sampling_params"]] == [7, 8, 9]

    async def test_a_deterministic_server_gets_seeds_without_asking(self, server: FakeServer) -> None:
        server.info["enable_deterministic_inference"] = True
        async with AsyncPolicyClient(profile="tiny") as client:
            await client.expand("q", n=4)
            await client.expand("q", n=4)
        seeds = [params["sampling_seed"] for body in server.batches for params in body["sampling_params"]]
        assert len(set(seeds)) == 8

    async def test_sampling_of_call_client_and_profile_are_put_together(self, server: FakeServer) -> None:
        sampling = SamplingParams(temperature=0.3, top_p=0.9)
        async with AsyncPolicyClient(profile="tiny", sampling=sampling) as client:
            await client.expand("q", n=1, sampling=SamplingParams(temperature=0.1))
        assert server.batches[0]["sampling_params"] == [
            {"temperature": 0.1, "top_p": 0.9, "max_new_tokens": 32, "stop": ["\n\n"]}
        ]


class TestGenerate:
    async def test_a_continuation_does_not_stop_at_delimiters(
        self, server: FakeServer, client: AsyncPolicyClient
    ) -> None:
        server.answer = lambda rid, params, prompt: sample(rid, (97, 300, 98, 1), {"type": "stop", "matched": 1})
        branch = await client.generate("q")
        assert server.batches[0]["sampling_params"] == [{"max_new_tokens": 512, "temperature": 1.0}]
        assert (branch.end, branch.token_ids) == (EndReason.EOS, (97, 300, 98, 1))
        assert len(server.bodies("/generate")) == 1

    async def test_it_takes_what_an_expand_takes(self, server: FakeServer, client: AsyncPolicyClient) -> None:
        step = (await client.expand("q", n=1))[0]
        branch = await client.generate(step, SamplingParams(max_new_tokens=5, stop="END"), logprobs=True)
        assert branch.prefix.parent is step.prefix
        assert server.batches[-1]["sampling_params"] == [{"max_new_tokens": 5, "temperature": 1.0, "stop": ["END"]}]
        assert server.batches[-1]["return_logprob"] is True


class TestPrefix:
    async def test_a_question_is_put_into_the_profiles_format(self, server: FakeServer) -> None:
        async with AsyncPolicyClient(profile="smollm2", check_profile=False) as client:
            root = await client.root("1 + 1")
            assert root.text.startswith("<|im_start|>system\nYou solve")
            assert root.text.endswith("<|im_start|>user\n1 + 1<|im_end|>\n<|im_start|>assistant\n")
        assert server.bodies("/tokenize")[0]["add_special_tokens"] is False

    async def test_a_chat_is_rendered_by_the_profile(self, server: FakeServer) -> None:
        async with AsyncPolicyClient(profile="smollm2", check_profile=False) as client:
            prefix = await client.prefix(
                [{"role": "user", "content": "1 + 1"}, {"role": "assistant", "content": "It is"}]
            )
        assert prefix.text == "<|im_start|>user\n1 + 1<|im_end|>\n<|im_start|>assistant\nIt is"

    async def test_a_chat_is_rendered_by_the_server_when_the_profile_says_so(self, server: FakeServer) -> None:
        async with AsyncPolicyClient() as client:
            server.requests.clear()
            prefix = await client.prefix([{"role": "user", "content": "x"}])
            await client.prefix("raw")
        assert prefix.text == "user:x;"
        (chat, raw) = server.bodies("/tokenize")
        assert chat == {"messages": [{"role": "user", "content": "x"}], "continue_final_message": False}
        assert raw == {"prompt": "raw", "add_special_tokens": True}

    async def test_ids_are_taken_as_they_are(self, server: FakeServer, client: AsyncPolicyClient) -> None:
        prefix = await client.prefix((97, 2047, 0))
        assert (prefix.token_ids, prefix.root) == ([97, 2047, 0], prefix)
        assert server.bodies("/tokenize") == []

    async def test_the_origin_names_tokenizer_and_namespace(
        self, server: FakeServer, client: AsyncPolicyClient
    ) -> None:
        assert (await client.prefix("a", namespace="n")).origin == Origin("/models/tok", "n")


REFUSED: dict[str, Call] = {
    "no samples": lambda client: client.expand("q", n=0),
    "a negative number of samples": lambda client: client.expand("q", n=-1),
    "too many samples": lambda client: client.expand("q", n=5000),
    "a bool of samples": lambda client: client.expand("q", n=True),
    "an empty text": lambda client: client.expand(""),
    "an empty question": lambda client: client.root(""),
    "no ids": lambda client: client.expand([]),
    "an id outside the vocabulary": lambda client: client.expand([5, 2048]),
    "a negative id": lambda client: client.expand([-1]),
    "a lone surrogate": lambda client: client.expand("\ud800"),
    "bytes": lambda client: client.expand(b"q"),
    "nothing": lambda client: client.prefix(None),  # type: ignore[arg-type]
    "a number for a question": lambda client: client.root(5),  # type: ignore[arg-type]
    "a chat without a chat format": lambda client: client.prefix([{"role": "user", "content": "x"}]),
    "a chat that is none": lambda client: client.prefix([{"role": "user", "content": "x"}, "x"]),  # type: ignore[arg-type]
    "an empty namespace": lambda client: client.prefix("q", namespace=""),
    "a namespace that is no text": lambda client: client.root("q", namespace="\ud800"),
    "sampling that does not fit the client's": lambda client: client.expand(
        "q", sampling=SamplingParams(min_new_tokens=10**6)
    ),
    "a prefix of another tokenizer": lambda client: client.expand(Prefix([1], "", origin=Origin("other"))),
    "a path without room": lambda client: client.expand(
        Prefix([1], "", origin=Origin("/models/tok")).child([1] * 512, "")
    ),
    "a prompt longer than the server takes": lambda client: client.expand(
        Prefix([1] * 2042, "", origin=Origin("/models/tok"))
    ),
}


class TestRefusals:
    @pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED.keys())
    async def test_what_would_harm_the_server_never_reaches_it(self, server: FakeServer, call: Call) -> None:
        sampling = SamplingParams(max_new_tokens=32)
        async with AsyncPolicyClient(profile="tiny", sampling=sampling if call is CONFLICT else None) as client:
            server.requests.clear()
            with pytest.raises(InvalidRequestError):
                await call(client)
        assert server.requests == []

    async def test_a_text_too_long_is_refused_before_it_is_generated_from(
        self, server: FakeServer, client: AsyncPolicyClient
    ) -> None:
        with pytest.raises(InvalidRequestError, match="at most 2041"):
            await client.expand("a" * 2042)
        assert server.bodies("/generate") == []


CONFLICT = REFUSED["sampling that does not fit the client's"]


class TestFailures:
    async def test_a_full_queue_is_tried_again(self, server: FakeServer, client: AsyncPolicyClient) -> None:
        root = await client.root(QUESTION)
        await client.expand(root, n=1)
        server.requests.clear()
        server.overrides["/generate"] = [FULL, FULL]
        assert len(await client.expand(root, n=2)) == 2
        rids = [body["rid"] for body in server.bodies("/generate")]
        assert len(rids) == 3
        assert len({rid for tried in rids for rid in tried}) == 6

    async def test_a_queue_that_stays_full_is_an_error_with_its_history(self, server: FakeServer) -> None:
        server.overrides["/generate"] = [FULL] * 5
        async with AsyncPolicyClient(profile="tiny", retry=RetryPolicy(patience=0.01)) as client:
            with pytest.raises(ServerBusyError, match="The request queue is full") as caught:
                await client.expand("q", n=1)
        assert [attempt.kind for attempt in caught.value.attempts] == [FailureKind.BUSY]
        assert caught.value.rids == tuple(server.bodies("/generate")[-1]["rid"])

    @pytest.mark.parametrize(
        ("answer", "kind", "posts"),
        [
            (httpx.Response(400, json={"error": {"message": "too long"}}), RequestRejectedError, 1),
            (httpx.Response(400, json={"error": "unknown field"}), RequestRejectedError, 1),
            (httpx.Response(401, json={"error": "Unauthorized"}), AuthenticationError, 1),
            (httpx.Response(500, text="Internal Server Error"), ServerFaultError, 1),
            (httpx.Response(500, json={"message": "out of memory"}), ServerFaultError, 2),
            (httpx.Response(200, text='[{"text": "cut'), ServerFaultError, 2),
            (httpx.Response(200, json=[]), ServerFaultError, 2),
            (httpx.Response(200, json=[sample("a"), sample("b")]), ServerFaultError, 2),
            (httpx.ReadError("reset"), ServerUnreachableError, 5),
            (httpx.ConnectError("refused"), ServerUnreachableError, 5),
        ],
    )
    async def test_each_failure_has_its_error_and_its_number_of_posts(
        self,
        server: FakeServer,
        client: AsyncPolicyClient,
        answer: httpx.Response | Exception,
        kind: type[RequestError],
        posts: int,
    ) -> None:
        server.overrides["/generate"] = [answer] * 9
        with pytest.raises(kind) as caught:
            await client.expand("q", n=1)
        assert len(server.bodies("/generate")) == len(caught.value.attempts) == posts
        server.overrides.clear()
        assert len(await client.expand("q", n=1)) == 1  # the client works on

    async def test_a_server_that_was_gone_makes_every_prefix_cold(
        self, server: FakeServer, client: AsyncPolicyClient
    ) -> None:
        root = await client.root(QUESTION)
        await client.expand(root, n=2)
        server.overrides["/generate"] = [httpx.ReadError("reset")]
        await client.expand(root, n=2)  # one connection broke; the server is there
        assert (len(server.leaders), len(server.prefills)) == (1, 0)
        server.overrides["/generate"] = [httpx.ReadError("reset")]
        server.overrides["/model_info"] = [httpx.ConnectError("refused")]
        await client.expand(root, n=2)  # the batch is sent again only after its prefix
        assert (len(server.leaders), len(server.prefills)) == (1, 1)

    async def test_a_deadline_tells_of_its_attempts_and_stops_the_samples(
        self, server: FakeServer, client: AsyncPolicyClient
    ) -> None:
        root = await client.root(QUESTION)
        await client.expand(root, n=1)
        server.overrides["/generate"] = [FULL]
        server.open.clear()
        server.requests.clear()
        clock = Clock()
        task = asyncio.create_task(client.expand(root, n=3, timeout=60))
        await clock.jump(60, when=lambda: len(server.batches) == 2)
        with pytest.raises(DeadlineExceededError, match="no answer within 60 s") as caught:
            await task
        assert [attempt.kind for attempt in caught.value.attempts] == [FailureKind.BUSY, FailureKind.GIVEN_UP]
        assert set(caught.value.rids) == server.dropped
        await eventually(lambda: server.dropped <= server.aborted)

    async def test_the_clients_timeout_holds_when_the_call_has_none(self, server: FakeServer) -> None:
        async with AsyncPolicyClient(profile="tiny", timeout=60) as client:
            server.open.clear()
            clock = Clock()
            task = asyncio.create_task(client.expand("q", n=2))
            await clock.jump(60, when=lambda: len(server.batches) == 1)
            with pytest.raises(DeadlineExceededError, match="60 s"):
                await task

    async def test_a_deadline_covers_the_tokenising_of_text(
        self, server: FakeServer, client: AsyncPolicyClient
    ) -> None:
        server.overrides["/tokenize"] = [FULL] * 2
        with pytest.raises(DeadlineExceededError, match="the text was not tokenised within 1e-09 s"):
            await client.expand("q", timeout=1e-9)
        assert server.bodies("/generate") == []


class TestCancellation:
    async def test_cancelling_at_any_await_leaves_nothing_behind(
        self, server: FakeServer, client: AsyncPolicyClient
    ) -> None:
        """Cancel an expand after k steps of the loop, for every k until it completes."""
        server.answer = lambda rid, params, prompt: sample(rid, (97, 301))  # so that /detokenize is asked too
        before = asyncio.all_tasks()
        steps = 0
        while True:
            root = await client.prefix(QUESTION, namespace=f"k{steps}")  # cold each time
            task = asyncio.create_task(client.expand(root, n=3))
            for _ in range(steps):
                await asyncio.sleep(0)
            if not task.cancel():
                break
            with pytest.raises(asyncio.CancelledError):
                await task
            await eventually(lambda: asyncio.all_tasks() == before)
            assert server.dropped <= server.aborted
            steps += 1
        assert len(await task) == 3
        assert steps > 5
        for size in (1, 2):
            assert server.aborted & {rid for body in server.batches if len(body["rid"]) == size for rid in body["rid"]}
        assert len(await client.expand(QUESTION, n=3)) == 3

    async def test_cancelling_one_expand_leaves_the_others_alone(
        self, server: FakeServer, client: AsyncPolicyClient
    ) -> None:
        root = await client.root(QUESTION)
        await client.expand(root, n=1)
        server.open.clear()
        one, two = (asyncio.create_task(client.expand(root, n=2)) for _ in range(2))
        await eventually(lambda: len(server.batches) == 3)
        one.cancel()
        server.open.set()
        assert len(await two) == 2
        await eventually(lambda: server.aborted == set(server.batches[1]["rid"]))

    async def test_closing_waits_for_aborts_on_their_way(self, server: FakeServer) -> None:
        async with AsyncPolicyClient(profile="tiny") as client:
            server.open.clear()
            task = asyncio.create_task(client.generate("q"))
            await eventually(lambda: len(server.batches) == 1)
            task.cancel()
            await asyncio.wait([task])
        assert server.aborted == set(server.batches[0]["rid"])

    async def test_a_caller_cancelled_inside_the_client_leaves_it_closed(self, server: FakeServer) -> None:
        async def work() -> None:
            async with AsyncPolicyClient(profile="tiny") as client:
                await client.generate("q")

        before = asyncio.all_tasks()
        server.open.clear()
        task = asyncio.create_task(work())
        await eventually(lambda: len(server.batches) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert server.aborted == set(server.batches[0]["rid"])
        assert asyncio.all_tasks() == before

    async def test_cancelling_first_contact_closes_the_client(self, server: FakeServer) -> None:
        client = AsyncPolicyClient(profile="tiny")
        task = asyncio.create_task(client.__aenter__())
        await eventually(lambda: len(server.requests) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert "closed" in repr(client)


class TestKeys:
    async def test_the_key_goes_in_the_header_and_nowhere_else(
        self, server: FakeServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        shown = ""
        policy = RetryPolicy(first_wait=0, most_wait=0, patience=0.01)
        async with AsyncPolicyClient(profile="tiny", api_key="sk-secret", retry=policy) as client:
            for answer in (FULL, httpx.ConnectError("refused"), httpx.Response(200, text="no")):
                server.overrides["/generate"] = [answer] * 9
                with pytest.raises(RequestError) as caught:
                    await client.expand("q", n=1)
                shown += "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
            shown += repr(client)
        assert {request.headers["Authorization"] for request in server.requests} == {"Bearer sk-secret"}
        assert "sk-secret" not in shown + caplog.text

    async def test_the_key_of_an_endpoint_file_is_used(self, server: FakeServer, tmp_path: Path) -> None:
        path = moved(tmp_path / "e.json", 30000, api_key="sk-file")
        async with AsyncPolicyClient.from_endpoint(path, "tiny") as client:
            assert "sk-file" not in repr(client)
        assert {request.headers["Authorization"] for request in server.requests} == {"Bearer sk-file"}
        server.requests.clear()
        async with AsyncPolicyClient.from_endpoint(path, "tiny", api_key="sk-mine"):
            pass
        assert {request.headers["Authorization"] for request in server.requests} == {"Bearer sk-mine"}

    @pytest.mark.parametrize("key", ["", "two words", "line\nend", "ключ"])
    def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(self, key: str) -> None:
        with pytest.raises(ConfigurationError, match="api_key") as caught:
            AsyncPolicyClient(api_key=key)
        assert not key or key not in str(caught.value)


class TestEndpointFile:
    async def test_a_moved_server_is_found_after_the_connection_is_lost(self, tmp_path: Path) -> None:
        path = moved(tmp_path / "e.json", 30001)
        old, new = FakeServer(), FakeServer()
        with respx.mock(assert_all_called=False) as router:
            router.route(port=30001).mock(side_effect=old)
            router.route(port=30002).mock(side_effect=new)
            async with AsyncPolicyClient.from_endpoint(path, "tiny", retry=IMPATIENT) as client:
                root = await client.root(QUESTION)
                await client.expand(root, n=2)
                moved(path, 30002)
                old.overrides["/generate"] = [httpx.ConnectError("refused")]
                await client.expand(root, n=2)
                await client.expand(root, n=2)
                assert repr(client).startswith("AsyncPolicyClient(http://127.0.0.1:30002, tiny")
        assert len(new.batches) == 2
        assert len(old.batches) == 3

    async def test_the_profile_of_the_server_is_taken(self, server: FakeServer, tmp_path: Path) -> None:
        path = moved(tmp_path / "e.json", 30000, profile="tiny")
        async with AsyncPolicyClient.from_endpoint(path) as client:
            assert client.profile.name == "tiny"
        async with AsyncPolicyClient.from_endpoint(path, "llemma", check_profile=False) as client:
            assert client.profile.name == "llemma"

    async def test_a_profile_that_is_not_known_here_is_derived_and_that_is_said(
        self, server: FakeServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = moved(tmp_path / "e.json", 30000, profile="of-another-machine")
        async with AsyncPolicyClient.from_endpoint(path) as client:
            assert client.profile.name == "generic"
        assert "'of-another-machine'" in caplog.text

    def test_a_missing_file_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="no endpoint file"):
            AsyncPolicyClient.from_endpoint(tmp_path / "none.json")


class TestServer:
    async def test_facts_and_counters_are_those_of_now(self, server: FakeServer, client: AsyncPolicyClient) -> None:
        server.info["version"] = "0.5.23"
        assert (await client.server_info()).version == "0.5.23"
        assert await client.metrics() == ServerMetrics(100, 7, 30, 2, 1)

    async def test_a_server_without_metrics_is_an_error(self, server: FakeServer, client: AsyncPolicyClient) -> None:
        server.overrides["/metrics/"] = [httpx.Response(404, json={"detail": "Not Found"})]
        with pytest.raises(RequestRejectedError, match="has no /metrics/: is it the address of an SGLang server"):
            await client.metrics()

    async def test_health_is_a_yes_or_a_no(self, server: FakeServer, client: AsyncPolicyClient) -> None:
        assert await client.health()
        server.overrides["/health_generate"] = [httpx.Response(503)] * 5
        assert not await client.health()

    async def test_flushing_the_cache_makes_every_prefix_cold(
        self, server: FakeServer, client: AsyncPolicyClient
    ) -> None:
        root = await client.root(QUESTION)
        await client.expand(root, n=2)
        await client.flush_cache()
        await client.expand(root, n=2)
        assert len(server.leaders) == 2

    async def test_a_busy_server_flushes_nothing(self, server: FakeServer, client: AsyncPolicyClient) -> None:
        root = await client.root(QUESTION)
        await client.expand(root, n=2)
        server.overrides["/flush_cache"] = [httpx.Response(400, text="Flush cache failed.")]
        with pytest.raises(RequestRejectedError, match="Flush cache failed"):
            await client.flush_cache()
        await client.expand(root, n=2)
        assert len(server.leaders) == 1


CALLS: dict[str, Call] = {
    "root": lambda client: client.root("q"),
    "prefix": lambda client: client.prefix("q"),
    "expand": lambda client: client.expand("q"),
    "generate": lambda client: client.generate("q"),
    "server_info": lambda client: client.server_info(),
    "metrics": lambda client: client.metrics(),
    "health": lambda client: client.health(),
    "flush_cache": lambda client: client.flush_cache(),
}


class TestLifetime:
    @pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
    async def test_a_client_is_used_inside_async_with(self, server: FakeServer, call: Call) -> None:
        client = AsyncPolicyClient(profile="tiny")
        with pytest.raises(ConfigurationError, match="async with"):
            await call(client)
        async with client:
            server.requests.clear()
        with pytest.raises(ConfigurationError, match="async with"):
            await call(client)
        assert server.requests == []

    def test_a_client_belongs_to_one_loop(self, server: FakeServer) -> None:
        async def elsewhere() -> None:
            for call in CALLS.values():
                with pytest.raises(ConfigurationError, match="another event loop"):
                    await call(client)

        client = AsyncPolicyClient(profile="tiny")
        with asyncio.Runner() as runner:
            runner.run(client.__aenter__())
            server.requests.clear()
            asyncio.run(elsewhere())
            runner.run(client.aclose())
        assert server.requests == []

    async def test_a_closed_client_cannot_be_opened_again(self, server: FakeServer) -> None:
        client = AsyncPolicyClient(profile="tiny")
        async with client:
            pass
        with pytest.raises(ConfigurationError, match="this client is closed"):
            await client.__aenter__()

    async def test_closing_twice_does_nothing(self, server: FakeServer) -> None:
        async with AsyncPolicyClient(profile="tiny") as client:
            await client.aclose()
        await client.aclose()

    async def test_a_call_that_outlives_the_client_ends_with_an_error_of_ours(self, server: FakeServer) -> None:
        async with AsyncPolicyClient(profile="tiny", retry=IMPATIENT) as client:
            server.overrides["/generate"] = [FULL] * 5
            late = asyncio.create_task(client.generate("q"))
            await eventually(lambda: len(server.batches) == 1)
        with pytest.raises(EtsClientError):
            await late

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"timeout": 0}, "timeout = 0"),
            ({"timeout": -1.0}, "timeout = -1"),
            ({"connections": 0}, "connections = 0"),
            ({"base_url": "localhost:30000"}, "base_url = 'localhost:30000'"),
        ],
    )
    def test_an_option_that_cannot_be_used_is_refused(self, options: dict[str, Any], words: str) -> None:
        with pytest.raises(ConfigurationError, match=words):
            AsyncPolicyClient(**options)

    def test_an_unknown_option_is_refused_as_python_does(self) -> None:
        options: dict[str, Any] = {"api_keys": "sk-1"}
        with pytest.raises(TypeError, match="'api_keys'") as caught:
            AsyncPolicyClient(**options)
        assert "sk-1" not in str(caught.value)

    async def test_a_given_transport_is_used_and_left_open(self, server: FakeServer) -> None:
        class Closable(httpx.MockTransport):
            is_closed = False

            async def aclose(self) -> None:
                self.is_closed = True

        transport = Closable(server)
        async with AsyncPolicyClient("http://elsewhere", "tiny", transport=transport, timeout=None) as client:
            assert len(await client.expand("q", n=2)) == 2
        assert {request.url.host for request in server.requests} == {"elsewhere"}
        assert not transport.is_closed
