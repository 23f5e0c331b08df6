"""Pruned paths: what runs below them ends at once, on the server too, and is live no more."""

from __future__ import annotations

import asyncio
import pickle

import pytest

from ets_client import (
    AsyncPolicyClient,
    InvalidRequestError,
    PrunedError,
    SamplingParams,
    TreeClosedError,
)
from ets_client.testing import Costs, FakeServer, ScriptedModel
from tests.fakes import Clock, eventually
from tests.stream_site import ENDLESS, Site, site

SHORT = SamplingParams(max_new_tokens=4, ignore_eos=True, stop="never, ever")


def running(here: Site) -> int:
    return len(here.server.registered_rids)


async def test_pruning_a_path_ends_what_runs_below_it_and_nothing_else() -> None:
    async with site() as here, here.client.tree("one") as tree:
        root = await tree.prefix("q")
        kept, given_up = await here.clock.run(tree.expand(root, 2, SHORT))
        mine = asyncio.ensure_future(tree.expand(kept, 2, ENDLESS))
        (deeper,) = await here.clock.run(tree.expand(given_up, 1, SHORT))
        calls = [asyncio.ensure_future(tree.expand(path, 3, ENDLESS)) for path in (given_up, deeper)]
        stream = tree.expand_iter(deeper, 2, ENDLESS)
        await here.clock.run(stream.__aenter__())
        await eventually(lambda: running(here) == 10)
        await here.clock.advance(3)  # six tokens each
        await tree.prune(given_up)
        for call in calls:
            with pytest.raises(PrunedError, match=r"\(\d+ tokens\) was pruned in the tree 'one'"):
                await here.clock.run(call)
        with pytest.raises(PrunedError):
            await anext(aiter(stream))
        await eventually(lambda: here.aborts == 8)
        await here.clock.advance(1)
        assert running(here) == 2
        assert not mine.done()
        row = tree.ledger
        assert (row.samples, row.unanswered) == (3 + 6, 2)
        assert 6 * 6 <= row.generated_after_prune <= 6 * 8
        assert tree.ledger.live == len(kept.prefix)
    with pytest.raises(TreeClosedError):
        await mine


async def test_who_waits_for_a_stream_that_is_pruned_gets_the_error_and_the_server_is_not_lost() -> None:
    async with site() as here, here.client.tree() as tree:
        root = await tree.prefix("q")
        stream = tree.expand_iter(root, 1, ENDLESS)
        await here.clock.run(stream.__aenter__())
        following = asyncio.ensure_future(anext(aiter(stream)))
        await asyncio.sleep(0)
        await tree.prune(root)
        await here.clock.advance(1)
        with pytest.raises(PrunedError):
            await following
        assert here.client.stats.server == "up"
        await stream.__aexit__(None, None, None)


async def test_who_waits_for_a_stream_whose_tree_is_left_gets_the_error_and_the_server_is_not_lost() -> None:
    async with site() as here:
        async with here.client.tree() as tree:
            stream = tree.expand_iter(await tree.prefix("q"), 1, ENDLESS)
            await here.clock.run(stream.__aenter__())
            following = asyncio.ensure_future(anext(aiter(stream)))
            await asyncio.sleep(0)
        await here.clock.advance(1)
        with pytest.raises(TreeClosedError):
            await following
        assert here.client.stats.server == "up"


async def test_a_call_that_waits_for_its_turn_is_pruned_too() -> None:
    async with site(admission=1) as here:
        root, other = await here.client.prefix("q"), await here.client.prefix("r")
        first = asyncio.ensure_future(here.client.expand(root, 1, ENDLESS))
        second = asyncio.ensure_future(here.client.expand(other, 1, ENDLESS))
        await eventually(lambda: here.client.stats.waiting_for_turn == 1 and running(here) == 1)
        await here.client.prune(other)
        with pytest.raises(
            PrunedError, match=r"^the path of this call \(\d+ tokens\) was pruned: it has been stopped$"
        ):
            await second
        assert here.client.stats.waiting_for_turn == 0
        await here.client.prune(root)
        with pytest.raises(PrunedError):
            await here.clock.run(first)
        await here.settled()


async def test_a_call_outside_of_trees_is_pruned_in_its_own_task_which_goes_on() -> None:
    async with site() as here:
        root = await here.client.prefix("q")

        async def search() -> str:
            try:
                async with asyncio.timeout(1000):
                    await here.client.expand(root, 2, ENDLESS)
            except PrunedError:
                await asyncio.sleep(0)
                return "went on"
            return "never"

        task = asyncio.ensure_future(search())
        await eventually(lambda: running(here) > 0)
        await here.client.prune(root)
        assert await here.clock.run(task) == "went on"
        assert task.cancelling() == 0


async def test_a_server_that_does_not_answer_the_abort_is_waited_for_two_seconds() -> None:
    async with site() as here:
        root, clock = await here.client.prefix("q"), Clock()
        await here.clock.run(here.client.warm(root))
        task = asyncio.ensure_future(here.client.expand(root, 2, ENDLESS))
        await eventually(lambda: running(here) == 2)
        await here.client.prune(root)
        await clock.jump(1.9, when=lambda: here.aborts >= 2)
        assert not task.done()
        await clock.jump(0.2, when=lambda: True)
        with pytest.raises(PrunedError):
            await task
        assert here.client.ledger.total.unanswered == 2


async def test_of_an_expand_whose_first_sample_is_pruned_the_others_are_never_sent() -> None:
    async with site() as here:
        root = await here.client.prefix("q" * 40)
        task = asyncio.ensure_future(here.client.expand(root, 4, ENDLESS))
        await eventually(lambda: running(here) == 1)
        await here.client.prune(root)
        with pytest.raises(PrunedError):
            await here.clock.run(task)
        assert here.server.count("/generate") == 1


async def test_a_call_that_fails_though_it_was_pruned_is_pruned() -> None:
    async with site() as here:
        root = await here.client.prefix("q")
        await here.clock.run(here.client.warm(root))
        task = asyncio.ensure_future(here.client.expand(root, 2, ENDLESS))
        await eventually(lambda: running(here) == 2)
        await here.client.prune(root)
        await here.server.kill()
        with pytest.raises(PrunedError):
            await task
        await here.server.restart()


async def test_a_call_that_is_cancelled_and_pruned_is_cancelled() -> None:
    async with site() as here:
        root = await here.client.prefix("q")
        task = asyncio.ensure_future(here.client.expand(root, 2, ENDLESS))
        await eventually(lambda: running(here) > 0)
        task.cancel()
        await here.client.prune(root)
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_calls_in_another_tree_go_on() -> None:
    async with site() as here, here.client.tree("one") as one, here.client.tree("two") as two:
        root = await one.prefix("q")
        mine = asyncio.ensure_future(two.expand(root, 2, ENDLESS))
        await eventually(lambda: running(here) > 0)
        await one.prune(root)
        await here.client.prune(root)
        assert not mine.done()


async def test_of_two_samples_alike_the_other_goes_on() -> None:
    async with site(model=ScriptedModel("the same step for all")) as here, here.client.tree() as tree:
        root = await tree.prefix("q")
        one, two = await here.clock.run(tree.expand(root, 2, SHORT))
        assert one.prefix == two.prefix
        calls = [asyncio.ensure_future(tree.expand(branch, 1, ENDLESS)) for branch in (one, two)]
        await eventually(lambda: running(here) > 0)
        await tree.prune(one)
        with pytest.raises(PrunedError):
            await here.clock.run(calls[0])
        assert not calls[1].done()
        assert tree.ledger.live == len(two.prefix)
        restored = pickle.loads(pickle.dumps(two.prefix))
        await tree.prune(restored)  # an equal path, of which no other is left
        with pytest.raises(PrunedError):
            await here.clock.run(calls[1])
        assert tree.ledger.live == len(root)


async def test_what_is_asked_of_a_pruned_path_is_refused_until_it_is_generated_again() -> None:
    async with site(model=ScriptedModel("the same step for all")) as here, here.client.tree() as tree:
        root = await tree.prefix("q")
        (branch,) = await here.clock.run(tree.expand(root, 1, SHORT))
        (child,) = await here.clock.run(tree.expand(branch, 1, SHORT))
        await tree.prune(branch)
        for path in (branch, child, branch.prefix.child([97], "a")):
            with pytest.raises(PrunedError):
                await tree.expand(path, 2, SHORT)
        with pytest.raises(PrunedError):
            await tree.expand_iter(branch, 2, SHORT).__aenter__()
        (again,) = await here.clock.run(tree.expand(root, 1, SHORT))
        assert len(await here.clock.run(tree.expand(again, 2, SHORT))) == 2
        await tree.prune(root)
        with pytest.raises(PrunedError):
            await tree.expand(again, 2, SHORT)
        assert (tree.ledger.expands, tree.ledger.generated, tree.ledger.live) == (4, 20, 0)
        await here.clock.run(here.client.expand(root, 1, SHORT))  # not in this tree


async def test_only_paths_can_be_pruned() -> None:
    async with site() as here:
        with pytest.raises(InvalidRequestError, match=r"prefixes\[0\]"):
            await here.client.prune("text")  # type: ignore[arg-type]
        await here.client.prune()
        await here.client.prune(await here.client.prefix("never sent"))
        assert here.client.ledger.total.live == 0


def test_its_error_can_be_pickled() -> None:
    error = pickle.loads(pickle.dumps(PrunedError("one", 12)))
    assert (error.tree, error.tokens, str(error)) == ("one", 12, str(PrunedError("one", 12)))


async def test_looking_at_the_servers_load_goes_on_when_the_call_that_began_it_is_pruned() -> None:
    async with (
        FakeServer(costs=Costs(decode_step=0.001)) as server,
        AsyncPolicyClient(server.base_url, "tiny", admission="adaptive") as client,
    ):
        root, clock = await client.prefix("q"), Clock()
        first = asyncio.ensure_future(client.expand(root, 2, ENDLESS))
        await eventually(lambda: server.count("/generate") > 0)
        other = asyncio.ensure_future(client.expand(await client.prefix("r"), 2, ENDLESS))
        await client.prune(root)
        with pytest.raises(PrunedError):
            await first
        seen = server.count("/v1/loads")
        await clock.jump(1, when=lambda: True)
        await eventually(lambda: server.count("/v1/loads") > seen)
        await client.prune(other_root := await client.prefix("r"))
        with pytest.raises(PrunedError, match=f"{len(other_root)} tokens"):
            await other
