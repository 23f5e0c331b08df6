from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ets_client import (
    AsyncPolicyClient,
    AuthenticationError,
    EndReason,
    InvalidRequestError,
    ModelInfo,
    RequestRejectedError,
    RetryPolicy,
    SamplingParams,
    ServerFaultError,
    Usage,
)
from ets_client.testing import Answer, Costs, FakeOptions, FakeServer, FaultPlan, NeverAnswer, Version, VirtualClock
from tests.fakes import Clock, eventually

QUICK = RetryPolicy(first_wait=0, most_wait=0)
ENDLESS = SamplingParams(max_new_tokens=1500, ignore_eos=True, stop="never, ever")
VERSIONS: list[Version] = ["0.5.14", "0.5.18", "0.5.23"]


def server_of(version: Version = "0.5.18", *, faults: FaultPlan | None = None, **options: Any) -> FakeServer:
    return FakeServer(FakeOptions(version=version, health_seconds=0.0, **options), faults=faults)


def client_of(server: FakeServer, **options: Any) -> AsyncPolicyClient:
    return AsyncPolicyClient(server.base_url, "tiny", retry=QUICK, **options)


class TestKeys:
    async def test_the_admin_key_is_for_flushes_and_aborts_and_not_for_generation(self) -> None:
        clock, options = VirtualClock(), FakeOptions(api_key="k", admin_api_key="a")
        async with (
            FakeServer(options, clock=clock, costs=Costs(decode_step=1)) as server,
            client_of(server, api_key="k", admin_api_key="a") as client,
        ):
            generation = asyncio.create_task(client.generate("q", ENDLESS))
            await eventually(lambda: bool(server.scheduler.running))
            await client.abort(server.scheduler.running[0].rid)
            assert (await clock.run(generation)).end is EndReason.ABORTED
            await client.flush_cache()

    async def test_samples_that_are_given_up_are_stopped_with_the_admin_key(self) -> None:
        clock, options = VirtualClock(), FakeOptions(api_key="k", admin_api_key="a")
        async with FakeServer(options, clock=clock, costs=Costs(decode_step=1)) as server:
            async with client_of(server, api_key="k", admin_api_key="a") as client:
                generation = asyncio.create_task(client.generate("q", ENDLESS))
                await eventually(lambda: bool(server.scheduler.running))
                generation.cancel()
                await asyncio.wait([generation])
            await clock.advance(1)
            assert server.scheduler.is_idle

    async def test_without_its_admin_key_a_server_flushes_nothing(self) -> None:
        async with server_of(api_key="k", admin_api_key="a") as server, client_of(server, api_key="k") as client:
            with pytest.raises(AuthenticationError):
                await client.flush_cache()

    async def test_a_server_without_an_admin_key_takes_the_common_one(self) -> None:
        async with server_of(api_key="k") as server, client_of(server, api_key="k") as client:
            await client.flush_cache()


class TestReady:
    async def test_a_new_server_says_so_itself_and_generates_nothing(self) -> None:
        async with server_of("0.5.23") as server, client_of(server) as client:
            assert await client.ready()
            server.drain()
            assert not await client.ready()
            assert server.count("/health_generate") == 0

    @pytest.mark.parametrize("version", ["0.5.14", "0.5.18"])
    async def test_an_old_server_is_asked_to_generate(self, version: Version) -> None:
        async with server_of(version) as server, client_of(server) as client:
            assert await client.ready()
            assert server.count("/health_generate") == 1
            server.drain()
            assert not await client.ready()

    @pytest.mark.parametrize(("version", "path"), [("0.5.23", "/ready"), ("0.5.18", "/health_generate")])
    async def test_no_answer_in_time_is_a_no(self, version: Version, path: str) -> None:
        async with (
            server_of(version, faults=FaultPlan().on(NeverAnswer(), path)) as server,
            client_of(server) as client,
        ):
            clock = Clock()
            asking = asyncio.create_task(client.ready(timeout=7))
            await clock.jump(7, when=lambda: server.count(path) == 1)
            assert await asking is False

    async def test_the_time_is_for_both_questions_together(self) -> None:
        async with server_of() as server, client_of(server) as client:
            clock = Clock()
            server.faults.on(NeverAnswer(), "/health_generate")
            asking = asyncio.create_task(client.ready(timeout=700))
            await clock.jump(300, when=lambda: bool(client.stats.failures))  # /ready was answered: 404
            await clock.jump(400, when=lambda: server.count("/health_generate") == 1)
            async with asyncio.timeout(5):
                assert await asking is False

    async def test_a_gone_server_is_not_ready(self) -> None:
        async with server_of("0.5.23") as server, client_of(server) as client:
            await server.kill()
            assert not await client.ready()
            assert not await client.health()


class TestFacts:
    @pytest.mark.parametrize("version", VERSIONS)
    async def test_model_and_load_are_read_of_each_version(self, version: Version) -> None:
        async with server_of(version, weight_version="7") as server, client_of(server) as client:
            info = await client.model_info()
            (load,) = await client.loads()
        assert isinstance(info, ModelInfo)
        assert (info.model_path, info.weight_version, info.is_generation) == ("fake-model", "7", True)
        assert (load.dp_rank, load.running_requests, load.max_total_tokens) == (0, 0, 65536)

    async def test_a_load_is_that_of_now(self) -> None:
        clock = VirtualClock()
        async with FakeServer(clock=clock, costs=Costs(decode_step=1)) as server, client_of(server) as client:
            generation = asyncio.create_task(client.generate("q", ENDLESS))
            await eventually(lambda: bool(server.scheduler.running))
            assert [load.running_requests for load in await client.loads()] == [1]
            generation.cancel()
            await asyncio.wait([generation])

    @pytest.mark.parametrize(("path", "call"), [("/model_info", "model_info"), ("/v1/loads", "loads")])
    async def test_something_else_than_sglang_is_said_so(self, path: str, call: str) -> None:
        async with server_of() as server, client_of(server) as client:
            server.faults.on(Answer(200, b"<html>"), path)
            with pytest.raises(ServerFaultError, match=f"the reply to {path} is not what SGLang sends"):
                await getattr(client, call)()


class TestFlush:
    async def test_it_waits_for_an_idle_server_and_makes_every_prefix_cold(self) -> None:
        clock = VirtualClock()
        async with FakeServer(clock=clock, costs=Costs(decode_step=1)) as server, client_of(server) as client:
            root = await client.prefix("q")
            await clock.run(client.warm(root))
            generation = asyncio.create_task(client.generate(root, SamplingParams(max_new_tokens=5, ignore_eos=True)))
            await eventually(lambda: bool(server.scheduler.running))
            flush = asyncio.create_task(client.flush_cache(wait=30))
            await eventually(lambda: server.count("/flush_cache") == 1)
            assert not flush.done()
            await clock.run(generation)
            await clock.run(flush)
            assert (await clock.run(client.warm(root))).cached_tokens == 0

    async def test_a_server_that_stays_busy_flushes_nothing(self) -> None:
        clock = VirtualClock()
        async with FakeServer(clock=clock, costs=Costs(decode_step=1)) as server, client_of(server) as client:
            root = await client.prefix("q")
            await clock.run(client.warm(root))
            generation = asyncio.create_task(client.generate("other", ENDLESS))
            await eventually(lambda: bool(server.scheduler.running))
            with pytest.raises(RequestRejectedError, match="Flush cache failed"):
                await clock.run(client.flush_cache(wait=3))
            assert await client.warm(root) == Usage()
            generation.cancel()
            await asyncio.wait([generation])


class TestAbort:
    async def test_an_aborted_sample_comes_back_with_what_it_had(self) -> None:
        clock = VirtualClock()
        async with FakeServer(clock=clock, costs=Costs(decode_step=1)) as server, client_of(server) as client:
            generation = asyncio.create_task(client.generate("q", ENDLESS))
            await eventually(lambda: bool(server.scheduler.running))
            await clock.advance(3)
            await client.abort(server.scheduler.running[0].rid)
            branch = await clock.run(generation)
        assert branch.end is EndReason.ABORTED
        assert 0 < len(branch.token_ids) < 1500

    async def test_an_id_that_nobody_knows_is_no_error(self) -> None:
        async with server_of() as server, client_of(server) as client:
            await client.abort("unknown", 'with "quotes"\n')
            await client.abort()
            assert server.count("/abort_request") == 2

    @pytest.mark.parametrize("rid", ["", None, 5])
    async def test_an_id_that_could_stop_everybody_is_refused(self, rid: Any) -> None:
        async with server_of() as server, client_of(server) as client:
            with pytest.raises(InvalidRequestError) as caught:
                await client.abort("good", rid)
            assert caught.value.argument == "rids[1]"
            assert server.count("/abort_request") == 0


class TestText:
    async def test_text_goes_to_ids_and_back(self) -> None:
        async with server_of() as server, client_of(server) as client:
            text = "There and back, ки.\n\n"
            assert await client.detokenize(await client.tokenize(text)) == text

    async def test_special_tokens_are_added_when_asked_for_only(self) -> None:
        async with server_of() as server, client_of(server) as client:
            plain = await client.tokenize("a")
            special = await client.tokenize("a", add_special_tokens=True)
            assert special == server.tokenizer.encode("a", add_special_tokens=True)
            assert plain == server.tokenizer.encode("a", add_special_tokens=False)

    @pytest.mark.parametrize("ids", [[], [-1], [2048], [True]])
    async def test_ids_that_are_none_are_refused(self, ids: list[int]) -> None:
        async with server_of() as server, client_of(server, check_profile=False) as client:
            with pytest.raises(InvalidRequestError):
                await client.detokenize(ids)
            with pytest.raises(InvalidRequestError):
                await client.tokenize("")
            with pytest.raises(InvalidRequestError, match=r"texts\[1\]"):
                await client.tokenize_each(["a", ""])
            assert {path for _, path in server.requests} == {"/model_info", "/v1/models", "/server_info"}

    async def test_many_texts_are_tokenised_in_one_request(self) -> None:
        async with server_of() as server, client_of(server) as client:
            texts = ["a", "some text", "a"]
            alone = [await client.tokenize(text, add_special_tokens=True) for text in texts]
            asked = len(server.requests)
            assert await client.tokenize_each(texts, add_special_tokens=True) == alone
            assert len(server.requests) == asked + 1
            assert await client.tokenize_each([]) == []
            assert len(server.requests) == asked + 1


class TestWarm:
    async def test_a_prefix_is_computed_once(self) -> None:
        async with server_of() as server, client_of(server) as client:
            root = await client.prefix("Warm this.")
            first, second = await asyncio.gather(client.warm(root), client.warm(root))
            assert {first.prompt_tokens, second.prompt_tokens} == {len(root), 0}
            expansion = await client.expand(root, 2)
            assert expansion.warm_usage == Usage()
            assert expansion.usage.computed_tokens == 2

    async def test_a_branch_is_as_warm_as_its_path(self) -> None:
        async with server_of() as server, client_of(server) as client:
            branch = await client.generate("q")
            before = server.count("/generate")
            assert await client.warm(branch) == Usage()
            assert server.count("/generate") == before
