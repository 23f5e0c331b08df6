"""Seeds and log-probabilities through the public API, on real sockets."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from ets_client import (
    AsyncPolicyClient,
    ConfigurationError,
    InvalidRequestError,
    LogprobOptions,
    SamplingParams,
    SamplingSource,
    SeedIgnoredWarning,
)
from ets_client.testing import FakeOptions, FakeServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ets_client import Branch, Logprobs

SHORT = SamplingParams(max_new_tokens=12, stop="never, ever", ignore_eos=True)
WANTED = LogprobOptions(top=4, chosen=(9, 5, 7))


def lists(branch: Branch) -> tuple[Any, ...]:
    logprobs = told(branch)
    return branch.token_ids, logprobs.values, logprobs.top, logprobs.chosen


def told(branch: Branch) -> Logprobs:
    assert branch.logprobs is not None
    return branch.logprobs


@pytest.fixture(params=[False, True], ids=["cumulative", "incremental"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[AsyncPolicyClient]:
    """A client of a deterministic server, which streams in either way."""
    options = FakeOptions(
        version="0.5.23", enable_deterministic_inference=True, incremental_streaming_output=request.param
    )
    async with FakeServer(options) as server, AsyncPolicyClient(server.base_url, "tiny") as opened:
        yield opened


class TestLogprobs:
    async def test_all_calls_bring_the_same(self, client: AsyncPolicyClient) -> None:
        root, sampling = await client.prefix("Some text."), SamplingParams(seed=3).over(SHORT)
        whole = await client.expand(root, 3, sampling, logprobs=WANTED)
        expected = {branch.token_ids: lists(branch) for branch in whole}
        async with client.expand_iter(root, 3, sampling, logprobs=WANTED) as branches:
            assert {branch.token_ids: lists(branch) async for branch in branches} == expected
        assert lists(await client.generate(root, sampling, logprobs=WANTED)) == lists(whole[0])
        async with client.stream(root, sampling, logprobs=WANTED) as stream:
            assert "".join([delta.text async for delta in stream]) == whole[0].text
        assert lists(stream.branch) == lists(whole[0])

    async def test_top_chosen_and_own_agree_at_each_token(self, client: AsyncPolicyClient) -> None:
        branch = await client.generate("Some text.", SHORT, logprobs=WANTED)
        logprobs = told(branch)
        assert len(logprobs) == len(logprobs.top) == len(logprobs.chosen) == len(branch.token_ids) == 12
        for top, chosen in zip(logprobs.top, logprobs.chosen, strict=True):
            assert list(top.values()) == sorted(top.values(), reverse=True)
            assert list(chosen) == [9, 5, 7]
            assert math.fsum(map(math.exp, top.values())) <= 1 + 1e-6
            assert all(top[token] == value for token, value in chosen.items() if token in top)

    async def test_only_what_was_asked_for_comes(self, client: AsyncPolicyClient) -> None:
        logprobs = told(await client.generate("q", SHORT, logprobs=True))
        assert len(logprobs) == 12
        with pytest.raises(ConfigurationError, match="top=5"):
            logprobs.top  # noqa: B018 - it reads
        assert (await client.generate("q", SHORT)).logprobs is None

    @pytest.mark.parametrize("version", ["0.5.14", "0.5.18"])
    async def test_chosen_ids_never_reach_a_server_that_dies_of_them(self, version: Any) -> None:
        async with (
            FakeServer(FakeOptions(version=version)) as server,
            AsyncPolicyClient(server.base_url, "tiny") as client,
        ):
            root = await client.prefix("q")
            for call in (client.expand, client.generate):
                with pytest.raises(InvalidRequestError, match=f"SGLang {version}"):
                    await call(root, logprobs=WANTED)
            for opened in (client.expand_iter, client.stream):
                with pytest.raises(InvalidRequestError, match=f"SGLang {version}"):
                    await opened(root, logprobs=WANTED).__aenter__()
            assert (await client.metrics()).prefilled_tokens == 0
            assert len(told(await client.generate(root, SHORT, logprobs=LogprobOptions(top=4))).top) == 12


class TestSeeds:
    async def test_the_seeds_that_were_drawn_are_told_and_repeat_the_branches(self, client: AsyncPolicyClient) -> None:
        first = await client.expand("Some text.", 4, SHORT)
        assert first.sampling.seed is not None
        again = await client.expand("Some text.", 4, SamplingParams(seed=first.sampling.seed).over(SHORT))
        assert [branch.token_ids for branch in again] == [branch.token_ids for branch in first]
        assert len({branch.token_ids for branch in first}) == 4
        other = await client.expand("Some text.", 4, SHORT)
        assert other.sampling.seed != first.sampling.seed
        assert {branch.token_ids for branch in other} != {branch.token_ids for branch in first}

    async def test_a_stream_tells_its_seed(self, client: AsyncPolicyClient) -> None:
        async with client.stream("Some text.", SHORT) as stream:
            assert [delta async for delta in stream]
        again = await client.generate("Some text.", stream.sampling)
        assert again.token_ids == stream.branch.token_ids

    async def test_a_seed_that_is_used_needs_no_warning(self, client: AsyncPolicyClient) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            await client.generate("q", SamplingParams(seed=3).over(SHORT))

    async def test_a_seed_that_is_ignored_is_told_once_by_each_client(self) -> None:
        seeded = SamplingParams(seed=3).over(SHORT)
        async with FakeServer(FakeOptions()) as server:
            for _ in range(2):
                async with AsyncPolicyClient(server.base_url, "tiny") as client:
                    await client.generate("q", SHORT)
                    with pytest.warns(SeedIgnoredWarning, match="seed = 3 has no effect") as caught:
                        await client.generate("q", seeded)
                    assert [warning.filename for warning in caught] == [__file__]
                    await client.expand("q", 2, seeded)  # warnings are errors here
                    async with client.stream("q", seeded) as stream:
                        assert [delta async for delta in stream]


class TestEffectiveSampling:
    async def test_it_says_what_an_expand_then_sends(self, client: AsyncPolicyClient) -> None:
        root = await client.prefix("Some text.")
        call = SamplingParams(temperature=0.4)
        said = client.effective_sampling(call, prefix=root)
        sent = (await client.expand(root, 1, call)).sampling
        assert {name: said[name].value for name in sent.given() if name != "seed"} == {
            name: value for name, value in sent.given().items() if name != "seed"
        }
        assert said["temperature"].source is SamplingSource.CALL
        assert "stop            " in str(said)
        assert client.effective_sampling(call="generate")["stop"].value is None

    async def test_the_clients_own_fields_are_named(self) -> None:
        async with (
            FakeServer(FakeOptions()) as server,
            AsyncPolicyClient(server.base_url, "tiny", sampling=SamplingParams(top_p=0.9)) as client,
        ):
            said = client.effective_sampling()
        assert (said["top_p"].value, said["top_p"].source) == (0.9, SamplingSource.CLIENT)

    async def test_a_call_that_is_none_is_refused(self, client: AsyncPolicyClient) -> None:
        wrong: Any = "label_probs"
        with pytest.raises(InvalidRequestError, match="'expand' or 'generate'"):
            client.effective_sampling(call=wrong)
