from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ets_client import AsyncPolicyClient, Branch, ConfigurationError, EndReason, InvalidRequestError, SamplingParams
from ets_client.testing import FakeOptions, FakeServer, NeverAnswer, Version
from tests.fakes import eventually
from tests.stream_site import ENDLESS, VERSIONS, all_of, site


def facts(branch: Branch) -> tuple[object, ...]:
    logprobs = None if branch.logprobs is None else branch.logprobs.values
    return branch.text, branch.token_ids, branch.end, branch.matched, branch.overshoot, branch.prefix, logprobs


class TestExpandIter:
    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize("increments", [False, True])
    @pytest.mark.parametrize("stop", ["\n\n", "e", ("a", "th"), "never"])
    async def test_it_gives_the_branches_of_an_expand(self, version: Version, stop: Any, *, increments: bool) -> None:
        async with (
            FakeServer(
                FakeOptions(
                    version=version, incremental_streaming_output=increments, enable_deterministic_inference=True
                )
            ) as server,
            AsyncPolicyClient(server.base_url, "tiny") as client,
        ):
            root = await client.prefix("Some are short and some are long.")
            sampling = SamplingParams(max_new_tokens=24, stop=stop, seed=7)
            whole = await client.expand(root, 8, sampling, logprobs=True)
            async with client.expand_iter(root, 8, sampling, logprobs=True) as branches:
                found = await all_of(branches)
                rids = branches.rids
        lengths = [len(branch.token_ids) for branch in found]
        assert lengths == sorted(lengths)
        assert sorted(branch.rid for branch in found) == sorted(rids)
        in_order = sorted(found, key=lambda branch: rids.index(branch.rid))
        assert [facts(branch) for branch in in_order] == [facts(branch) for branch in whole]
        assert {branch.usage.computed_tokens for branch in found} == {1}

    async def test_a_cold_prefix_is_computed_once_before_it(self) -> None:
        async with FakeServer() as server, AsyncPolicyClient(server.base_url, "tiny") as client:
            root = await client.prefix("Cold.")
            found = await all_of(client.expand_iter(root, 4))
            assert server.count("/generate") == 2
            assert [branch.usage.computed_tokens for branch in found] == [1] * 4
            await client.expand(found[0], 2)
            assert server.count("/generate") == 3

    async def test_it_tells_what_warming_the_prefix_cost(self) -> None:
        async with FakeServer() as server, AsyncPolicyClient(server.base_url, "tiny") as client:
            root = await client.prefix("Cold.")
            for prompt_tokens in (len(root), 0):
                async with client.expand_iter(root, 4) as branches:
                    assert branches.warm_usage.prompt_tokens == prompt_tokens

    async def test_what_has_ended_can_be_taken_together(self) -> None:
        async with site() as here:
            async with here.client.expand_iter("q", 5, SamplingParams(max_new_tokens=3, ignore_eos=True)) as branches:
                found = await here.clock.run(branches.ended())
                assert len(found) > 1
                while some := await here.clock.run(branches.ended()):
                    found += some
                assert sorted(branch.rid for branch in found) == sorted(branches.rids)
                assert [branch async for branch in branches] == []
            assert here.aborts == 0

    async def test_streams_that_hold_all_connections_do_not_wait_for_one_to_learn_how_a_step_ends(self) -> None:
        async with FakeServer() as server, AsyncPolicyClient(server.base_url, "tiny", connections=1) as client:
            before = server.count("/detokenize")
            found = await all_of(client.expand_iter("A question", 8, timeout=10))
            assert EndReason.DELIMITER in {branch.end for branch in found}
            assert server.count("/detokenize") > before  # a step may go on behind its delimiter, in the same token

    async def test_what_is_cancelled_while_it_learns_how_a_step_ends_is_told_when_it_is_asked_again(self) -> None:
        async with FakeServer() as server, AsyncPolicyClient(server.base_url, "tiny") as client:
            server.faults.on(NeverAnswer(), "/detokenize", nth=1)
            before, found = server.count("/detokenize"), list[Branch]()
            async with client.expand_iter("A question", 8, timeout=10) as branches:
                taking = asyncio.ensure_future(branches.ended())
                await eventually(lambda: server.count("/detokenize") > before)
                taking.cancel()
                await asyncio.wait([taking])
                assert taking.cancelled()
                while some := await branches.ended():
                    found += some
                assert sorted(branch.rid for branch in found) == sorted(branches.rids)

    async def test_what_ended_together_and_was_not_given_out_is_lost_by_leaving(self) -> None:
        async with site() as here:
            branches = here.client.expand_iter("q", 5, SamplingParams(max_new_tokens=3, ignore_eos=True))
            async with branches:
                await here.clock.run(anext(aiter(branches)))
            for ask in (branches.ended, aiter(branches).__anext__):
                with pytest.raises(ConfigurationError, match="left before its end"):
                    await ask()

    async def test_it_can_be_iterated_without_being_entered(self) -> None:
        async with site() as here:
            branches = here.client.expand_iter("q", 3, SamplingParams(max_new_tokens=4, ignore_eos=True))
            assert len(await here.clock.run(all_of(branches))) == 3
            await here.settled()
            assert here.aborts == 0

    async def test_streams_that_end_share_a_connection(self) -> None:
        async with FakeServer() as server, AsyncPolicyClient(server.base_url, "tiny") as client:
            root = await client.prefix("q")
            await client.expand(root, 2)
            before = server.connections
            for _ in range(3):
                assert len(await all_of(client.expand_iter(root, 2))) == 2
                async with client.stream(root) as stream:
                    assert [delta async for delta in stream]
            assert server.connections == before

    async def test_leaving_early_aborts_exactly_what_has_not_ended(self) -> None:
        async with site() as here:
            async with here.client.expand_iter("q", 4, ENDLESS) as branches:
                await here.client.abort(branches.rids[1])
                iterator = aiter(branches)
                assert (await here.clock.run(anext(iterator))).rid == branches.rids[1]
            await eventually(lambda: here.aborts == 4)
            await here.settled()
            assert here.aborts == 1 + 3

    async def test_leaving_at_the_end_aborts_nothing(self) -> None:
        async with site() as here:
            async with here.client.expand_iter("q", 4, SamplingParams(max_new_tokens=3)) as branches:
                assert len(await here.clock.run(all_of(branches))) == 4
            await here.settled()
            assert here.aborts == 0

    async def test_leaving_at_once_aborts_everything(self) -> None:
        async with site() as here:
            async with here.client.expand_iter("q", 4, ENDLESS):
                pass
            await eventually(lambda: here.aborts == 4)
            await here.settled()

    async def test_a_break_may_be_followed_by_the_rest(self) -> None:
        async with site() as here:
            async with here.client.expand_iter("q", 5, SamplingParams(max_new_tokens=3)) as branches:
                rids: list[str] = []

                async def some(most: int) -> None:
                    async for branch in branches:
                        rids.append(branch.rid)
                        if len(rids) == most:
                            break

                for most in (1, 3, 99):
                    await here.clock.run(some(most))
                assert sorted(rids) == sorted(branches.rids)
            assert here.aborts == 0

    async def test_a_break_without_entering_stops_the_others(self) -> None:
        async with site() as here:

            async def first() -> Branch | None:
                async for branch in here.client.expand_iter("q", 4, ENDLESS):
                    return branch
                return None

            task = asyncio.create_task(first())
            await eventually(lambda: len(here.server.scheduler.running) == 4)
            await here.client.abort(here.server.scheduler.running[0].rid)
            branch = await here.clock.run(task)
            assert branch is not None
            await eventually(lambda: here.aborts == 4)
            await here.settled()

    async def test_some_aborted_ones_come_back_and_the_others_finish(self) -> None:
        async with site() as here:
            sampling = SamplingParams(max_new_tokens=6, ignore_eos=True, stop="never, ever")
            async with here.client.expand_iter("q", 6, sampling) as branches:
                doomed = set(branches.rids[::2])
                await here.client.abort(*doomed)
                found = await here.clock.run(all_of(branches))
            assert {branch.rid for branch in found if branch.end is EndReason.ABORTED} == doomed
            assert {branch.rid for branch in found} == set(branches.rids)


class TestStream:
    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize("increments", [False, True])
    @pytest.mark.parametrize("stop", [None, "e", ("a", "th")])
    async def test_its_deltas_add_up_to_its_branch_and_that_is_generates(
        self, version: Version, stop: Any, *, increments: bool
    ) -> None:
        async with (
            FakeServer(FakeOptions(version=version, incremental_streaming_output=increments)) as server,
            AsyncPolicyClient(server.base_url, "tiny") as client,
        ):
            root = await client.prefix("Write on.")
            sampling = SamplingParams(max_new_tokens=24, temperature=0.0, stop=stop)
            async with client.stream(root, sampling, logprobs=True) as stream:
                deltas = [delta async for delta in stream]
            whole = await client.generate(root, sampling, logprobs=True)
        assert facts(stream.branch) == facts(whole)
        assert tuple(token for delta in deltas for token in delta.token_ids) == whole.token_ids
        text = "".join(delta.text for delta in deltas)
        assert text.startswith(whole.text)
        assert len(deltas) > 1 or len(whole.token_ids) == 1

    async def test_each_token_comes_when_it_is_there(self) -> None:
        async with site() as here, here.client.stream("q", ENDLESS) as stream:
            iterator = aiter(stream)
            for _ in range(3):
                async with asyncio.timeout(5):
                    delta = await anext(iterator)  # while the server's time stands still
                assert len(delta.token_ids) == 1
                await here.clock.advance(0.5)

    async def test_the_branch_is_there_with_the_last_delta_and_not_before(self) -> None:
        async with site() as here, here.client.stream("q", SamplingParams(max_new_tokens=2, ignore_eos=True)) as stream:
            iterator = aiter(stream)
            await here.clock.run(anext(iterator))
            with pytest.raises(ConfigurationError, match="has not ended"):
                _ = stream.branch
            await here.clock.run(anext(iterator))
            assert len(stream.branch.token_ids) == 2

    async def test_a_break_may_be_followed_by_the_rest(self) -> None:
        async with site() as here:
            async with here.client.stream("q", SamplingParams(max_new_tokens=5, ignore_eos=True)) as stream:
                ids = list((await here.clock.run(anext(aiter(stream)))).token_ids)

                async def rest() -> None:
                    async for delta in stream:
                        ids.extend(delta.token_ids)

                await here.clock.run(rest())
            assert tuple(ids) == stream.branch.token_ids

    async def test_an_abort_ends_it_with_what_it_had_and_no_empty_delta(self) -> None:
        async with site() as here, here.client.stream("q", ENDLESS) as stream:
            async with asyncio.timeout(5):
                deltas = [await anext(aiter(stream))]  # the first token, while the server's time stands still
            await here.client.abort(*stream.rids)

            async def rest() -> None:
                async for delta in stream:
                    deltas.append(delta)

            await here.clock.run(rest())
            assert all(delta.token_ids for delta in deltas)
            assert stream.branch.end is EndReason.ABORTED
            assert stream.branch.token_ids == tuple(token for delta in deltas for token in delta.token_ids)

    async def test_leaving_early_stops_it(self) -> None:
        async with site() as here:
            async with here.client.stream("q", ENDLESS) as stream:
                await here.clock.run(anext(aiter(stream)))
            await eventually(lambda: here.aborts == 1)
            await here.settled()


class TestMisuse:
    async def test_a_stream_is_entered_before_it_is_read(self) -> None:
        async with site() as here:
            with pytest.raises(ConfigurationError, match="enter the stream first"):
                await anext(aiter(here.client.stream("q")))
            with pytest.raises(ConfigurationError, match="enter the stream first"):
                _ = here.client.expand_iter("q").rids

    async def test_a_stream_is_entered_once(self) -> None:
        async with site() as here, here.client.stream("q", ENDLESS) as stream:
            with pytest.raises(ConfigurationError, match="entered before"):
                await stream.__aenter__()

    async def test_a_stream_that_was_left_is_not_read(self) -> None:
        async with site() as here:
            async with here.client.expand_iter("q", 2, ENDLESS) as branches:
                pass
            with pytest.raises(ConfigurationError, match="begin a new one"):
                await all_of(branches)

    async def test_what_is_not_possible_is_refused_on_entering_and_not_sent(self) -> None:
        async with site() as here:
            with pytest.raises(InvalidRequestError):
                await all_of(here.client.expand_iter("q", 0))
            with pytest.raises(InvalidRequestError):
                await here.client.stream("").__aenter__()
            assert here.server.count("/generate") == 0

    async def test_a_client_that_is_not_open_streams_nothing(self) -> None:
        client = AsyncPolicyClient(profile="tiny")
        for begin in (client.stream, client.expand_iter):
            with pytest.raises(ConfigurationError, match="async with"):
                begin("q")

    async def test_a_client_that_closes_stops_its_open_streams(self) -> None:
        async with site() as here:
            stream = await here.client.expand_iter("q", 3, ENDLESS).__aenter__()
            await here.client.aclose()
            assert here.aborts == 3
            await here.settled()
            await stream.__aexit__(None, None, None)
            assert here.aborts == 3
