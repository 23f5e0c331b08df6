"""Streams, label probabilities and the small calls against a real SGLang server."""

from __future__ import annotations

import asyncio
import itertools
import math
from typing import TYPE_CHECKING

import pytest

from ets_client import (
    AsyncPolicyClient,
    ConfigurationError,
    EndReason,
    InvalidRequestError,
    LabelProbs,
    RequestRejectedError,
    SamplingParams,
    ScoreFailure,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.live

ENDLESS = SamplingParams(max_new_tokens=1500, ignore_eos=True, stop="never, ever")


@pytest.fixture
async def client(live_endpoint: Path) -> AsyncIterator[AsyncPolicyClient]:
    async with AsyncPolicyClient.from_endpoint(live_endpoint) as opened:
        yield opened


async def nothing_runs(client: AsyncPolicyClient) -> None:
    async with asyncio.timeout(30):
        while any(load.running_requests or load.waiting_requests for load in await client.loads()):
            pass


async def test_the_deltas_of_a_stream_add_up_to_its_branch(client: AsyncPolicyClient) -> None:
    root = await client.prefix("Write on.")
    sampling = SamplingParams(max_new_tokens=12, ignore_eos=True, temperature=0.0)
    async with client.stream(root, sampling, logprobs=True) as stream:
        with pytest.raises(ConfigurationError, match="has not ended"):
            _ = stream.branch
        deltas = [delta async for delta in stream]
    assert len(deltas) > 1
    assert tuple(token for delta in deltas for token in delta.token_ids) == stream.branch.token_ids
    assert "".join(delta.text for delta in deltas) == stream.branch.text
    assert stream.branch.end is EndReason.STEP_LENGTH
    assert stream.branch.logprobs is not None
    assert len(stream.branch.logprobs) == 12
    assert stream.branch.token_ids == (await client.generate(root, sampling)).token_ids


async def test_leaving_a_stream_stops_the_work_on_the_server(client: AsyncPolicyClient) -> None:
    async with client.stream("Endless.", ENDLESS) as stream:
        async for _ in stream:
            break
    await nothing_runs(client)


async def test_branches_come_in_the_order_in_which_they_end(client: AsyncPolicyClient) -> None:
    root = await client.prefix("Some are short and some are long.")
    found = [branch async for branch in client.expand_iter(root, 8, SamplingParams(max_new_tokens=24))]
    assert len(found) == 8
    assert len({branch.rid for branch in found}) == 8
    lengths = [len(branch.token_ids) for branch in found]
    # The server may take the eight into its batch in several steps, so that the last begin a few tokens later.
    assert all(one <= other + 4 for one, other in itertools.pairwise(lengths))
    for branch in found:
        assert branch.prefix.token_ids == root.token_ids + list(branch.token_ids)
        assert branch.usage.computed_tokens == 1


async def test_a_bad_value_in_a_stream_is_the_same_error_as_without(client: AsyncPolicyClient) -> None:
    beyond = SamplingParams(logit_bias={999_999: 1.0})
    with pytest.raises(RequestRejectedError, match="logit_bias"):
        await client.expand("Odd.", 1, beyond)
    async with client.stream("Odd.", beyond) as stream:
        with pytest.raises(RequestRejectedError, match="logit_bias"):
            await anext(aiter(stream))


async def test_eight_samples_can_be_aborted_one_by_one_and_the_others_finish(client: AsyncPolicyClient) -> None:
    ends: dict[str, EndReason] = {}
    async with client.expand_iter("Eight.", 8, ENDLESS) as branches:
        doomed = set(branches.rids[::2])
        for rid in doomed:
            await client.abort(rid)
        async for branch in branches:
            ends[branch.rid] = branch.end
    assert set(ends) == set(branches.rids)
    assert {rid for rid, end in ends.items() if end is EndReason.ABORTED} == doomed
    await nothing_runs(client)


async def test_a_warmed_prefix_is_not_prefilled_by_its_expand(client: AsyncPolicyClient) -> None:
    root = await client.prefix("Warm this one first. " * 5)
    usage = await client.warm(root)
    assert usage.prompt_tokens == len(root)
    assert (await client.warm(root)).prompt_tokens == 0
    expansion = await client.expand(root, 2)
    assert expansion.usage.computed_tokens == 2


async def test_label_probabilities_are_those_of_the_next_token(client: AsyncPolicyClient) -> None:
    roots = [await client.prefix(text) for text in ("Step one is right.", "Step two is wrong, though longer.")]
    labels = [(await client.tokenize(label))[0] for label in "+-"]
    outcomes = await client.label_probs(roots, ["+", "-"])
    whole: list[list[float]] = [[], []]
    for start in range(0, 2048, 256):  # the whole vocabulary, as many as one call takes
        for logprobs, part in zip(whole, await client.label_probs(roots, range(start, start + 256)), strict=True):
            assert isinstance(part, LabelProbs)
            logprobs += part.logprobs
    for outcome, logprobs in zip(outcomes, whole, strict=True):
        assert isinstance(outcome, LabelProbs)
        assert list(outcome.token_ids) == labels
        assert math.fsum(outcome.probs) == pytest.approx(1.0)
        assert math.fsum(map(math.exp, logprobs)) == pytest.approx(1.0, abs=1e-3)
        for token, logprob in zip(outcome.token_ids, outcome.logprobs, strict=True):
            assert logprobs[token] == pytest.approx(logprob, abs=1e-3)


async def test_a_label_must_be_one_token(client: AsyncPolicyClient) -> None:
    root = await client.prefix("Judge.")
    with pytest.raises(InvalidRequestError, match="text that is one token"):
        await client.label_probs([root], ["definitely right"])


async def test_a_path_that_is_too_long_has_a_failure_for_a_score(client: AsyncPolicyClient) -> None:
    short = await client.prefix("Short.")
    long = short.child([40] * 2050, "x" * 2050)
    first, second = await client.label_probs([long, short], ["+", "-"])
    assert isinstance(first, ScoreFailure)
    assert "at most" in first.reason
    assert isinstance(second, LabelProbs)


async def test_text_goes_to_ids_and_back(client: AsyncPolicyClient) -> None:
    ids = await client.tokenize("There and back.\n\n")
    assert await client.detokenize(ids) == "There and back.\n\n"


async def test_the_server_tells_of_its_model_and_its_load(client: AsyncPolicyClient) -> None:
    info, (load,) = await client.model_info(), await client.loads()
    assert info.is_generation
    assert info.architectures == ("LlamaForCausalLM",)
    assert load.max_total_tokens == client.capabilities.max_total_tokens
    assert await client.ready()
