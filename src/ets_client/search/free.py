"""A tree grown without a barrier: each child is considered as soon as it is scored.

On an arrival the method is asked about the nodes of its level that are there, with the level's width scaled by their
share of those that are expected. What it gives them beyond what they have is given; children once given are not taken
back, and a level never gets more than its width. When the last of a level has arrived, the method has seen what it
would have seen behind a barrier; only what was given too early may differ. A method that knows no levels
(``knows_levels = False``) is asked for as many samples as the width has free.

What arrives while a decision is made is considered together: a method that takes its time is asked less often.
Decisions name the arrivals that they followed, so that a resumed search takes them in the same order.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from .._together import together
from .events import NodeAdded
from .journal import AFTER
from .tree import Node

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .arrivals import Arrival
    from .course import Course
    from .methods import Decision

__all__ = ["grow_freely"]


async def grow_freely(course: Course) -> str:
    """Grow a tree until its method, its depth or a budget ends it.

    Args:
        course: the search.

    Returns:
        Why it ended.

    Raises:
        RequestError: an expand or the scorer failed.
    """
    try:
        async with asyncio.TaskGroup() as group:
            return await _Free(course, group).grow()
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


class _Free:
    def __init__(self, course: Course, group: asyncio.TaskGroup) -> None:
        self._course = course
        self._group = group
        self._queue = asyncio.Queue["Arrival"]()
        self._held: dict[str, Arrival] = {}  # arrived and not yet considered
        self._scored: dict[tuple[int, tuple[int, ...]], asyncio.Task[Arrival]] = {}
        self._missing = Counter[int]()  # of each depth, samples that have not arrived
        self._arrived = Counter[int]()
        self._growing = Counter[Node]()  # samples that each node waits for

    async def grow(self) -> str:
        course, growth = self._course, self._course.growth
        over = course.used_up()
        if over is None:
            self._launch(await course.decide(0))
        while self._missing.total():
            arrivals = await self._next()
            depth = arrivals[0].parent.depth + 1
            for arrival in arrivals:
                self._missing[depth] -= 1
                self._arrived[depth] += 1
                self._growing[arrival.parent] -= 1
                node = growth.settle(arrival)
                if node is not None:
                    course.tell(NodeAdded(course.number, node))
            over = over or course.used_up()
            if over is None:  # else what is under way is waited for, and nothing new begins
                after = " ".join(arrival.id for arrival in arrivals)
                self._launch(await course.decide(depth, partial(self._ask, depth), {AFTER: after}))
            course.hold(parent for parent, missing in self._growing.items() if missing)
        return over or ("depth" if growth.met_depth else "done")

    async def _next(self) -> list[Arrival]:
        """The next arrivals, all of one level: those that the journal tells, else what is there."""
        after = self._course.record.after(self._course.growth.turn)
        if after is not None:
            while not self._held.keys() >= set(after.split()):
                self._hold(await self._queue.get())
            return [self._held.pop(name) for name in after.split()]
        if not self._held:
            self._hold(await self._queue.get())
        while not self._queue.empty():
            self._hold(self._queue.get_nowait())
        depth = next(iter(self._held.values())).parent.depth
        level = [arrival for arrival in self._held.values() if arrival.parent.depth == depth]
        return [self._held.pop(arrival.id) for arrival in level]

    def _hold(self, arrival: Arrival) -> None:
        self._held[arrival.id] = arrival

    def _launch(self, asked: Sequence[tuple[Node, int, int]]) -> None:
        for node, first, n in asked:
            self._missing[node.depth + 1] += n
            self._growing[node] += n
            self._group.create_task(self._course.sampler.each(node, first, n, self._take))

    async def _take(self, some: Sequence[Arrival]) -> None:
        # Each by itself: one whose score is there is considered, whatever its siblings wait for.
        await together(self._take_one(arrival) for arrival in some)

    async def _take_one(self, arrival: Arrival) -> None:
        if arrival.branch is not None and self._course.growth.known(arrival) is None:
            first = self._scored.get(arrival.same)
            if first is None:
                first = self._scored[arrival.same] = self._group.create_task(self._score(arrival))
            double = await first
            arrival.score, arrival.score_failure = double.score, double.score_failure
        self._queue.put_nowait(arrival)

    async def _score(self, arrival: Arrival) -> Arrival:
        await self._course.scoring.score([[arrival]])
        return arrival

    async def _ask(self, depth: int) -> Decision:
        """What the level's nodes that are there get now, beyond what they have."""
        course, growth = self._course, self._course.growth
        if not getattr(course.method, "knows_levels", True):
            free = course.options.width - self._missing.total()
            return await course.ask(growth.view(depth, max(0, free)))
        width = self._width(depth)
        wanted = await course.ask(growth.view(depth, width))
        level = growth.tree.level(depth)
        ended = sum(node.multiplicity for node in growth.tree if node.depth <= depth and not node.is_open)
        left = max(0, course.options.width - ended) - sum(node.width for node in level)
        children: dict[int, int] = {}
        for number, count in wanted.children.items():
            more = min(count - growth.tree[number].width, left)
            if more > 0:
                children[number] = more
                left -= more
        return replace(wanted, children=children)

    def _width(self, depth: int) -> int:
        """The width of a level, scaled by the share of it that is there.

        What has ended above takes its width with it whole, as behind a barrier.
        """
        growth, width = self._course.growth, self._course.options.width
        ended = sum(node.multiplicity for node in growth.tree if node.depth < depth and not node.is_open)
        if self._is_complete(depth):
            return width
        share, asked = max(0, width - ended), growth.asked[depth]
        expected = asked if self._is_complete(depth - 1) else max(asked, share)
        return ended + share * self._arrived[depth] // expected

    def _is_complete(self, depth: int) -> bool:
        return not any(count for above, count in self._missing.items() if above <= depth)
