"""The client against a real SGLang server with a random model: the real server has the last word."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest

from ets_client import AsyncPolicyClient, Branch, EndReason, InvalidRequestError, Prefix, SamplingParams, load_profile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

pytestmark = pytest.mark.live

EOS = 1
VOCABULARY = 2048


@pytest.fixture
async def client(live_endpoint: Path) -> AsyncIterator[AsyncPolicyClient]:
    async with AsyncPolicyClient.from_endpoint(live_endpoint) as opened:
        yield opened


async def word_token(client: AsyncPolicyClient) -> tuple[int, str]:
    """A token of at least four plain letters, so that a stop string can end inside it."""
    for token in range(VOCABULARY - 1, 256, -1):
        text = (await client.prefix([token])).text
        if len(text) >= 4 and text.isascii() and text.isalpha() and text[:2] not in text[2:]:
            return token, text
    raise AssertionError("the tiny model's vocabulary has no such token")


def forced(token: int, **more: Any) -> SamplingParams:
    """Sampling that can only give one token."""
    return SamplingParams(temperature=0.0, logit_bias={token: 1000.0}, **more)


@pytest.mark.parametrize("n", [1, 8])
async def test_an_expansion_has_exactly_n_branches_of_one_shape(client: AsyncPolicyClient, n: int) -> None:
    root = await client.prefix(f"Expand this {n} times.")
    expansion = await client.expand(root, n, logprobs=True)
    assert len(expansion) == n
    for branch in expansion:
        assert branch.prefix.token_ids == root.token_ids + list(branch.token_ids)
        assert branch.prefix.parent is root
        assert branch.usage.prompt_tokens == len(root)
        assert branch.usage.completion_tokens == len(branch.token_ids) > 0
        assert branch.logprobs is not None
        assert len(branch.logprobs) == len(branch.token_ids)
        assert all(value <= 0 for value in branch.logprobs.values)
    assert len({branch.rid for branch in expansion}) == n


async def test_the_delimiter_ends_a_step_and_stays_in_ids_and_prefix(client: AsyncPolicyClient) -> None:
    blank_line = (await client.prefix("\n\n")).token_ids
    (branch,) = await client.expand("One step.", 1, forced(blank_line[-1]))
    assert branch.end is EndReason.DELIMITER
    assert branch.matched == "\n\n"
    assert branch.text == ""
    assert branch.prefix.step_text == "\n\n" + branch.overshoot
    assert branch.prefix.text.startswith("One step.\n\n")


async def test_a_stop_string_in_the_middle_of_a_step_leaves_the_ids_whole(client: AsyncPolicyClient) -> None:
    token, text = await word_token(client)
    stop = text[-1] + text[:2]  # ends inside the second token
    (branch,) = await client.expand("Go.", 1, forced(token, stop=stop, max_new_tokens=8))
    assert branch.end is EndReason.DELIMITER
    assert branch.matched == stop
    assert branch.token_ids == (token, token)
    assert branch.text == text[:-1]
    assert branch.overshoot == text[2:]
    assert branch.prefix.step_text == text * 2
    assert branch.prefix.text == (await client.prefix(branch.prefix.token_ids)).text


async def test_the_end_of_sequence_token_is_in_the_ids_and_not_in_the_text(client: AsyncPolicyClient) -> None:
    (branch,) = await client.expand("The end.", 1, forced(EOS))
    assert branch.end is EndReason.EOS
    assert branch.token_ids == (EOS,)
    assert branch.text == ""
    assert not branch.is_open


async def test_a_stop_token_of_the_call_is_told_from_the_end_of_sequence(client: AsyncPolicyClient) -> None:
    token, _ = await word_token(client)
    (branch,) = await client.expand("Stop.", 1, forced(token, stop_token_ids=[token]))
    assert branch.end is EndReason.STOP_TOKEN
    assert branch.matched == token


async def test_a_step_that_reaches_its_length_has_exactly_that_many_tokens(client: AsyncPolicyClient) -> None:
    (branch,) = await client.expand(
        "On and on.", 1, SamplingParams(max_new_tokens=5, ignore_eos=True, stop="never, ever")
    )
    assert branch.end is EndReason.STEP_LENGTH
    assert len(branch.token_ids) == 5


async def test_a_step_that_fills_the_path_says_so(live_endpoint: Path) -> None:
    tiny = load_profile("tiny")
    short = tiny.model_copy(update={"steps": tiny.steps.model_copy(update={"max_path_tokens": 20})})
    async with AsyncPolicyClient.from_endpoint(live_endpoint, short) as client:
        token, _ = await word_token(client)
        only = SamplingParams(temperature=0.0, logit_bias={token: 1000.0})
        first = await client.expand("A path.", 1, only.over(SamplingParams(max_new_tokens=17)))
        (branch,) = await client.expand(first[0], 1, only)
        assert branch.end is EndReason.PATH_LENGTH
        assert len(branch.token_ids) == 3
        with pytest.raises(InvalidRequestError, match="no room for another step"):
            await client.expand(branch, 1)


async def test_a_child_computes_only_the_last_token_of_its_prompt(client: AsyncPolicyClient) -> None:
    root = await client.prefix("A root whose children are continued. " * 4)
    before = await client.metrics()
    short = SamplingParams(max_new_tokens=8)
    expansion = await client.expand(root, 8, short)
    children = await asyncio.gather(*(client.expand(branch, 4, short) for branch in expansion))
    for child in children:
        for branch in child:
            assert branch.usage.cached_tokens >= branch.usage.prompt_tokens - 1
    counted = (await client.metrics()).since(before)
    least = len(root) + 8 + 8 * 4 - 1
    assert counted.prefilled_tokens <= least


async def test_a_repeated_root_is_not_computed_again(client: AsyncPolicyClient) -> None:
    text = "A root that is asked for twice, by two prefixes that know nothing of each other. " * 3
    await client.expand(text, 4)
    again = await client.expand(text, 4)
    assert again.warm_usage.prompt_tokens == 0
    assert all(branch.usage.computed_tokens == 1 for branch in again)


async def test_concurrent_expands_of_one_cold_root_compute_it_once(client: AsyncPolicyClient) -> None:
    root = await client.prefix("Cold and wanted by many at the same moment. " * 5)
    before = await client.metrics()
    expansions = await asyncio.gather(*(client.expand(root, 2) for _ in range(8)))
    counted = (await client.metrics()).since(before)
    assert len(expansions) == 8
    assert counted.prefilled_tokens <= len(root) + 8 * 2 - 1


async def test_64_concurrent_expands_all_come_back(client: AsyncPolicyClient) -> None:
    roots = [await client.prefix(f"Root number {number} of many.") for number in range(64)]
    expansions = await asyncio.gather(*(client.expand(root, 2, SamplingParams(max_new_tokens=8)) for root in roots))
    for root, expansion in zip(roots, expansions, strict=True):
        assert len(expansion) == 2
        assert all(branch.prefix.token_ids[: len(root)] == root.token_ids for branch in expansion)


async def test_generate_runs_through_step_delimiters(client: AsyncPolicyClient) -> None:
    blank_line = (await client.prefix("\n\n")).token_ids
    branch = await client.generate("Steps:", forced(blank_line[-1], max_new_tokens=6))
    assert isinstance(branch, Branch)
    assert branch.end is EndReason.STEP_LENGTH
    assert len(branch.token_ids) == 6


async def test_cancelling_an_expand_stops_its_samples_on_the_server(client: AsyncPolicyClient) -> None:
    async def running() -> int:
        return (await client.metrics()).running_requests

    endless = SamplingParams(max_new_tokens=1800, ignore_eos=True, stop="never, ever")
    task = asyncio.create_task(client.expand("Endless.", 4, endless))
    async with asyncio.timeout(30):
        while await running() < 4:
            pass
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while await running() > 0:
            pass
    assert await client.health()


async def test_flush_cache_makes_the_next_expand_compute_its_prefix_again(client: AsyncPolicyClient) -> None:
    root = await client.prefix("Warm, then flushed. " * 5)
    await client.expand(root, 2)
    await client.flush_cache()
    again = await client.expand(root, 2)
    assert again[0].usage.computed_tokens == len(root)


async def test_the_server_says_what_the_client_counts_on(client: AsyncPolicyClient) -> None:
    info = await client.server_info()
    assert info.version
    assert info.schedule_policy == "lpm"
    assert info.has_metrics
    assert info.has_radix_cache
    assert info.context_length == 2048
    assert client.profile.name == "tiny"


LONG = 2048
REFUSED: dict[str, Callable[[AsyncPolicyClient, Prefix], Any]] = {
    "empty text": lambda client, _: client.expand(""),
    "no ids": lambda client, _: client.expand([]),
    "an id beyond the vocabulary": lambda client, _: client.expand([5, VOCABULARY]),
    "a negative id": lambda client, _: client.expand([-1]),
    "an id that is no int": lambda client, _: client.expand([5.0]),  # type: ignore[list-item]
    "n = 0": lambda client, root: client.expand(root, 0),
    "n = -1": lambda client, root: client.expand(root, -1),
    "n = True": lambda client, root: client.expand(root, True),
    "a huge n": lambda client, root: client.expand(root, 10**9),
    "a prompt longer than the context": lambda client, _: client.expand([5] * LONG),
    "a lone surrogate": lambda client, _: client.expand("\ud800"),
    "an unknown sampling field": lambda client, root: client.expand(root, 1, cast("Any", SamplingParams)(max_tokens=5)),
    "an empty stop string": lambda client, root: client.expand(root, 1, SamplingParams(stop="")),
    "a float where an int belongs": lambda client, root: client.expand(
        root, 1, SamplingParams(max_new_tokens=16.0)  # type: ignore[arg-type]
    ),
    "top_p = 0": lambda client, root: client.expand(root, 1, SamplingParams(top_p=0.0)),
    "top_k = 0": lambda client, root: client.expand(root, 1, SamplingParams(top_k=0)),
    "NaN": lambda client, root: client.expand(root, 1, SamplingParams(temperature=float("nan"))),
    "chat messages for a profile without a chat format": lambda client, _: client.prefix(
        [{"role": "user", "content": "Hi"}]
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
async def test_harmful_input_is_refused_here_and_the_server_lives_on(client: AsyncPolicyClient, what: str) -> None:
    root = await client.prefix("A good root.")
    with pytest.raises(InvalidRequestError):
        await REFUSED[what](client, root)
    assert len(await client.expand(root, 1, SamplingParams(max_new_tokens=1))) == 1
