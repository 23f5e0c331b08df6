from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ets_client import AsyncPolicyClient, ConfigurationError, PrunedError, SamplingParams
from ets_client.testing import Costs, FakeServer
from tests.fakes import eventually
from tests.stream_site import site as stream_site

if TYPE_CHECKING:
    from ets_client import Prefix

STEP = SamplingParams(max_new_tokens=8, ignore_eos=True)
ENDLESS = SamplingParams(max_new_tokens=1500, ignore_eos=True, stop="never, ever")
FAST = Costs(decode_step=0.0005, prefill_token=0.0)


class TestLimit:
    async def test_the_server_never_has_more_samples_than_were_admitted(self) -> None:
        async with FakeServer(costs=FAST) as server:
            async with AsyncPolicyClient(server.base_url, "tiny", admission=8) as client:
                roots = [await client.prefix(f"question {place} " * 5) for place in range(12)]
                most = 0

                async def search(place: int) -> None:
                    nonlocal most
                    async with client.tree(str(place)) as tree:
                        prefix = roots[place]
                        for _ in range(3):
                            expansion = await tree.expand(prefix, 4, STEP)
                            most = max(most, client.stats.samples_in_flight)
                            prefix = expansion[0].prefix
                        assert len([branch async for branch in tree.expand_iter(prefix, 3, STEP)]) == 3
                        assert (await tree.generate(prefix, STEP)).token_ids

                await asyncio.gather(*(search(place) for place in range(12)))
                assert most <= 9  # of 8, and a prefill
                assert client.stats.waiting_for_turn == 0
            assert server.scheduler.is_idle

    async def test_one_that_waits_can_be_cancelled_and_one_that_fails_gives_its_turn_back(self) -> None:
        async with FakeServer(costs=FAST) as server, AsyncPolicyClient(server.base_url, "tiny", admission=2) as client:
            root = await client.prefix("question " * 5)
            await client.warm(root)
            running = asyncio.ensure_future(client.expand(root, 2, ENDLESS))
            streamed = client.stream(root, ENDLESS)
            opening = asyncio.ensure_future(streamed.__aenter__())
            waiting = asyncio.ensure_future(client.expand(root, 2, STEP))
            await eventually(lambda: client.stats.waiting_for_turn == 2)
            opening.cancel()
            running.cancel()
            await asyncio.wait([running, opening])
            assert len(await waiting) == 2

    async def test_a_sample_of_a_stream_gives_its_permit_back_when_it_has_ended(self) -> None:
        async with FakeServer(costs=FAST) as server, AsyncPolicyClient(server.base_url, "tiny", admission=2) as client:
            root = await client.prefix("question " * 5)
            await client.warm(root)
            async with client.expand_iter(root, 2, ENDLESS) as branches:
                waiting = asyncio.ensure_future(client.expand(root, 1, STEP))
                await eventually(lambda: client.stats.waiting_for_turn == 1)
                await client.abort(branches.rids[0])
                (ended,) = await branches.ended()
                assert ended.rid == branches.rids[0]
                assert len(await waiting) == 1
                assert client.stats.samples_in_flight == 1
            await eventually(lambda: client.stats.samples_in_flight == 0)

    async def test_a_stream_gives_its_turn_back_when_it_is_left(self) -> None:
        async with FakeServer(costs=FAST) as server, AsyncPolicyClient(server.base_url, "tiny", admission=1) as client:
            root = await client.prefix("question " * 5)
            async with client.stream(root, ENDLESS) as stream:
                assert (await anext(aiter(stream))).token_ids
            assert len(await client.expand(root, 1, STEP)) == 1

    async def test_in_a_tree_siblings_go_together_though_others_came_between_them(self) -> None:
        async with stream_site(admission=1) as here, here.client.tree() as tree:
            root = await tree.prefix("q")
            await here.clock.run(tree.warm(root))
            left, right = root.child([97, 98], "ab"), root.child([99, 100], "cd")
            order: list[str] = []

            async def expand(parent: Prefix, token: int) -> None:
                child = parent.child([token], chr(token))
                await tree.expand(child, 1, STEP)
                order.append(child.text)

            running = asyncio.ensure_future(tree.expand(root, 1, STEP))
            await eventually(lambda: here.client.stats.samples_in_flight == 1)
            calls = [asyncio.ensure_future(expand(parent, token)) for token in (101, 102) for parent in (left, right)]
            await eventually(lambda: here.client.stats.waiting_for_turn == 4)
            await here.clock.run(asyncio.gather(running, *calls))
            assert order == ["qabe", "qabf", "qcde", "qcdf"]

    async def test_adaptive_admission_changes_no_result(self) -> None:
        async with (
            FakeServer(costs=FAST) as server,
            AsyncPolicyClient(server.base_url, "tiny", admission="adaptive") as client,
        ):
            root = await client.prefix("question " * 5)
            found = await asyncio.gather(*(client.expand(root, 4, STEP) for _ in range(40)))
        assert [len(expansion) for expansion in found] == [4] * 40


@pytest.mark.parametrize("admission", [0, -1, True, "much", 2.5])
def test_an_impossible_limit_is_refused(admission: object) -> None:
    with pytest.raises(ConfigurationError, match="admission"):
        AsyncPolicyClient(admission=admission)  # type: ignore[arg-type]


async def test_a_speculative_expand_waits_until_no_other_does_and_ends_when_its_path_is_pruned() -> None:
    async with stream_site(admission=1) as here:
        root, maybe, wanted = [await here.client.prefix(text) for text in ("q", "r", "s")]
        short = SamplingParams(max_new_tokens=2, ignore_eos=True, stop="never, ever")
        endless = SamplingParams(max_new_tokens=1500, ignore_eos=True, stop="never, ever")
        ended: list[str] = []

        async def expand(name: str, prefix: Prefix, sampling: SamplingParams, *, speculative: bool = False) -> None:
            await here.client.expand(prefix, 1, sampling, speculative=speculative)
            ended.append(name)

        first = asyncio.ensure_future(expand("first", root, short))
        early = asyncio.ensure_future(expand("maybe", maybe, endless, speculative=True))
        late = asyncio.ensure_future(expand("wanted", wanted, short))
        await eventually(lambda: here.client.stats.waiting_for_turn == 2)
        await here.clock.run(first)
        await here.clock.run(late)
        assert ended == ["first", "wanted"]
        await eventually(lambda: here.client.stats.waiting_for_turn == 0 and len(here.server.registered_rids) == 1)
        await here.client.prune(maybe)
        with pytest.raises(PrunedError):
            await here.clock.run(early)
        await here.settled()
