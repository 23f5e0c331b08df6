from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest

from ets_client import AsyncPolicyClient, EndReason, InvalidRequestError, SamplingParams, SeedIgnoredWarning, Usage
from tests.contract.conftest import QUESTION
from tests.fakes import FakeServer, eventually, sample


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
