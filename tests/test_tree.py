from __future__ import annotations

import asyncio
import contextlib
import pickle
from typing import TYPE_CHECKING

import pytest

from ets_client import (
    ConfigurationError,
    DeadlineExceededError,
    InvalidRequestError,
    PrunedError,
    SamplingParams,
    TreeClosedError,
    Usage,
)
from ets_client.testing import FaultPlan, Reset
from tests.fakes import Clock, eventually
from tests.stream_site import ENDLESS, Site, all_of, site

if TYPE_CHECKING:
    from ets_client import Expansion, Prefix

SHORT = SamplingParams(max_new_tokens=4, ignore_eos=True)


async def warm_root(here: Site, text: str = "q") -> Prefix:
    """A prefix whose expands start at once, though the server's time stands still."""
    root = await here.client.prefix(text)
    await here.clock.run(here.client.warm(root))
    return root


async def test_a_tree_has_the_calls_of_its_client() -> None:
    async with site() as here, here.client.tree("one") as tree:
        root = await here.clock.run(tree.root("How many?"))
        assert len(await here.clock.run(tree.expand(root, 3, SHORT))) == 3
        assert (await here.clock.run(tree.generate(root, SHORT))).token_ids
        assert len(await here.clock.run(all_of(tree.expand_iter(root, 2, SHORT)))) == 2
        assert await tree.warm(root) is not None
        assert len(await here.clock.run(tree.label_probs([root], [97, 98]))) == 1
        assert await tree.prefix("text") == await here.client.prefix("text")
        assert repr(tree) == "Tree('one', 0 calls)"


async def test_leaving_a_tree_stops_all_that_runs_in_it_and_nothing_else() -> None:
    async with site() as here:
        root = await warm_root(here)
        mine = asyncio.ensure_future(here.client.expand(root, 1, ENDLESS))
        async with here.client.tree("left") as tree:
            calls = [asyncio.ensure_future(tree.expand(root, 4, ENDLESS)) for _ in range(8)]
            stream = tree.expand_iter(root, 4, ENDLESS)
            opening = asyncio.ensure_future(stream.__aenter__())
            await eventually(lambda: len(here.server.registered_rids) == 37)
            await here.clock.run(opening)
        await eventually(lambda: here.aborts == 36)
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {TreeClosedError}
        assert str(outcomes[0]) == "the tree 'left' was left: what was pending in it has been stopped"
        with pytest.raises(ConfigurationError, match="left before its end"):
            await anext(aiter(stream))
        await here.clock.advance(1)
        assert len(here.server.registered_rids) == 1
        mine.cancel()
        await asyncio.wait([mine])


async def test_leaving_that_is_cancelled_ends_all_of_it_nevertheless() -> None:
    async with site(admission=64) as here:
        root = await warm_root(here)
        left = here.client.tree("left")
        await left.__aenter__()
        expand = asyncio.ensure_future(left.expand(root, 4, ENDLESS))
        streams = [left.expand_iter(root, 4, ENDLESS) for _ in range(2)]
        opening = asyncio.gather(*(stream.__aenter__() for stream in streams))
        await eventually(lambda: len(here.server.registered_rids) == 12)
        await here.clock.run(opening)
        leaving = asyncio.ensure_future(left.__aexit__(None, None, None))
        await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        with pytest.raises(TreeClosedError):
            await expand
        await eventually(lambda: here.aborts == 12)
        await here.clock.advance(1)
        assert here.server.registered_rids == frozenset()
        async with here.client.tree("next") as tree:
            assert len(await here.clock.run(tree.expand(root, 64, SHORT))) == 64  # all the permits are back
        assert [row.name for row in here.client.ledger.trees[:2]] == ["left", "next"]  # those that ended come first


async def test_an_error_in_its_body_leaves_it_too() -> None:
    async with site() as here:
        root = await warm_root(here)
        calls: list[asyncio.Future[Expansion]] = []

        async def break_off() -> None:
            async with here.client.tree() as tree:
                calls.append(asyncio.ensure_future(tree.expand(root, 2, ENDLESS)))
                await eventually(lambda: bool(here.server.registered_rids))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await break_off()
        with pytest.raises(TreeClosedError):
            await calls[0]
        await here.settled()


async def test_cancelling_a_call_in_it_cancels_that_call_alone() -> None:
    async with site() as here, here.client.tree() as tree:
        root = await warm_root(here)
        first = asyncio.ensure_future(tree.expand(root, 2, ENDLESS))
        second = asyncio.ensure_future(tree.expand(root, 2, SHORT))
        await eventually(lambda: len(here.server.registered_rids) == 4)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert len(await here.clock.run(second)) == 2


async def test_a_call_cancelled_while_its_tree_is_left_is_cancelled() -> None:
    async with site() as here:
        root = await warm_root(here)
        async with here.client.tree() as tree:
            call = asyncio.ensure_future(tree.expand(root, 2, ENDLESS))
            await eventually(lambda: bool(here.server.registered_rids))
            call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_its_deadline_holds_for_every_call_in_it() -> None:
    async with site() as here:
        root, clock = await warm_root(here), Clock()
        async with here.client.tree(timeout=60) as tree:
            late = asyncio.ensure_future(tree.expand(root, 2, ENDLESS))
            quick = asyncio.ensure_future(tree.expand(root, 2, ENDLESS, timeout=5))
            await eventually(lambda: len(here.server.registered_rids) == 4)
            await clock.jump(5, when=lambda: True)
            with pytest.raises(DeadlineExceededError, match="within 5 s"):
                await quick
            assert not late.done()
            await clock.jump(55, when=lambda: True)
            with pytest.raises(DeadlineExceededError, match="within 60 s"):
                await late


async def test_a_tree_is_used_once_and_only_inside() -> None:
    async with site() as here:
        tree = here.client.tree("once")
        with pytest.raises(ConfigurationError, match=r"Tree\('once', not entered\) is not open"):
            await tree.expand("q", 1)
        async with tree:
            pass
        with pytest.raises(TreeClosedError):
            await tree.expand("q", 1)
        with pytest.raises(ConfigurationError, match=r"Tree\('once', left\) was entered before"):
            await tree.__aenter__()
        with pytest.raises(InvalidRequestError, match="timeout"):
            here.client.tree(timeout=0)


def test_its_error_can_be_pickled() -> None:
    error = pickle.loads(pickle.dumps(TreeClosedError("one")))
    assert (error.tree, str(error)) == ("one", str(TreeClosedError("one")))


class TestPartial:
    async def test_all_of_them_are_as_in_a_whole_expand(self) -> None:
        async with site() as here:
            root = await here.client.prefix("q")
            expansion = await here.clock.run(here.client.expand(root, 4, SHORT, partial="return"))
            assert (len(expansion), expansion.failures) == (4, ())
            assert {branch.prefix.parent for branch in expansion} == {root}

    async def test_its_usage_has_the_request_that_warmed_a_cold_prefix(self) -> None:
        async with site() as here:
            root = await here.client.prefix([*range(300)])
            expansion = await here.clock.run(here.client.expand(root, 4, SHORT, partial="return"))
            counts = here.server.scheduler.counts
            assert expansion.warm_usage == Usage(prompt_tokens=300)
            usage = expansion.usage
            assert (usage.prompt_tokens, usage.cached_tokens) == (counts["prompt"], counts["cached"])

    async def test_what_ended_before_the_time_was_over_is_returned_with_the_others_errors(self) -> None:
        async with site() as here:
            root, clock = await warm_root(here), Clock()
            running = asyncio.ensure_future(here.client.expand(root, 4, ENDLESS, partial="return", timeout=60))
            await eventually(lambda: len(here.server.registered_rids) == 4)
            await here.clock.advance(2)
            read = here.client.stats.received_bytes
            await here.client.abort(here.server.scheduler.running[1].rid)  # ends as a branch that was aborted
            await here.clock.advance(1)
            await clock.jump(60, when=lambda: here.client.stats.received_bytes > read + 200)
            expansion = await running
            assert len(expansion) == 1
            assert [failure.index for failure in expansion.failures] == [0, 2, 3]
            assert {type(failure.error) for failure in expansion.failures} == {DeadlineExceededError}

    async def test_nothing_at_all_is_an_error(self) -> None:
        async with site(FaultPlan().on(Reset(after=200))) as here:
            root = await here.client.prefix("q")
            with pytest.raises(Exception, match="broke"):
                await here.clock.run(here.client.expand(root, 1, SHORT, partial="return"))

    async def test_another_word_is_refused(self) -> None:
        async with site() as here:
            with pytest.raises(InvalidRequestError, match="partial = 'maybe'"):
                await here.client.expand("q", 1, partial="maybe")  # type: ignore[arg-type]


async def test_an_iteration_that_breaks_carries_what_it_gave() -> None:
    async with site() as here:
        root, clock = await warm_root(here), Clock()
        async with here.client.expand_iter(root, 2, ENDLESS, timeout=60) as branches:
            following = asyncio.ensure_future(anext(aiter(branches)))
            await eventually(lambda: len(here.server.registered_rids) == 2)
            await here.clock.advance(2)
            await here.client.abort(branches.rids[0])
            await here.clock.advance(1)
            first = await following
            rest = asyncio.ensure_future(anext(aiter(branches)))
            await clock.jump(60, when=lambda: True)
            with pytest.raises(DeadlineExceededError) as caught:
                await rest
            assert caught.value.branches == (first,)


async def test_a_call_that_is_cancelled_before_it_begins_leaves_nothing_behind() -> None:
    async with site() as here, here.client.tree() as tree:
        root = await tree.prefix("q")
        for turns in range(3):
            call = asyncio.ensure_future(tree.expand(root, 1, SHORT))
            for _ in range(turns):
                await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call


async def test_a_stream_that_opens_just_when_its_tree_is_left_is_stopped() -> None:
    async with site() as here:
        root = await warm_root(here)
        for turns in range(20):
            async with here.client.tree() as tree:
                opening = asyncio.ensure_future(tree.expand_iter(root, 1, ENDLESS).__aenter__())
                await eventually(lambda: bool(here.server.registered_rids))
                generating = asyncio.ensure_future(here.clock.advance(1))
                for _ in range(turns):
                    await asyncio.sleep(0)
            with contextlib.suppress(TreeClosedError):
                stream = await opening
                with pytest.raises(ConfigurationError, match="left before its end"):
                    await stream.ended()
            await generating
            await here.clock.advance(1)
            await eventually(lambda: here.server.registered_rids == frozenset())


@pytest.mark.parametrize("prunes", [True, False])
async def test_a_stream_that_opens_just_when_nobody_wants_it_is_stopped(prunes: bool) -> None:
    async with site() as here, here.client.tree() as tree:
        root = await warm_root(here)
        for turns in range(60):
            child = root.child([97, turns], "")
            opening = asyncio.ensure_future(tree.expand_iter(child, 1, ENDLESS).__aenter__())
            await eventually(lambda: bool(here.server.registered_rids))
            generating = asyncio.ensure_future(here.clock.advance(1))
            for _ in range(turns):
                await asyncio.sleep(0)
            if prunes:
                await tree.prune(child)
            else:
                opening.cancel()
            with contextlib.suppress(PrunedError, asyncio.CancelledError):
                await (await opening).__aexit__(None, None, None)
            await generating
            await here.clock.advance(1)
            await eventually(lambda: here.server.registered_rids == frozenset())
