"""A tree grown level by level, as published: the method decides when all that it asked for is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._together import together
from .events import LevelEnded, NodeAdded
from .growth import grouped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .arrivals import Arrival
    from .course import Course
    from .tree import Node

__all__ = ["grow_by_levels"]


async def grow_by_levels(course: Course) -> str:
    """Grow a tree until its method, its depth or a budget ends it.

    Args:
        course: the search.

    Returns:
        Why it ended.

    Raises:
        RequestError: an expand or the scorer failed.
    """
    growth, depth = course.growth, 0
    while True:
        over = course.used_up()
        if over is not None:
            return over
        asked = await course.decide(depth)
        if not asked:
            return "depth" if growth.met_depth else "done"
        grow = _together if course.scorer.is_local and course.options.watch is None else _each
        levels = await grow(course, asked)
        added = [node for arrival in levels if (node := growth.settle(arrival)) is not None]
        for node in added:
            course.tell(NodeAdded(course.number, node))
        depth = 1 + max(node.depth for node, _, _ in asked)
        course.hold([node for node, _, _ in asked] + added)
        course.tell(LevelEnded(course.number, depth, tuple(growth.tree.level(depth))))


async def _together(course: Course, asked: list[tuple[Node, int, int]]) -> list[Arrival]:
    """Expand all, then score all: nothing waits for the scores, and a scorer can compare the whole level."""
    found = await together(course.sampler.together(*each) for each in asked)
    arrivals = [arrival for siblings in found for arrival in siblings]
    groups = [group for group in grouped(arrivals) if course.growth.known(group[0]) is None]
    if groups:
        await course.scoring.score(groups)
    return arrivals


async def _each(course: Course, asked: list[tuple[Node, int, int]]) -> list[Arrival]:
    """Score each step while its siblings still decode."""
    arrivals: list[Arrival] = []
    scored: dict[tuple[int, tuple[int, ...]], Arrival] = {}

    async def take(some: Sequence[Arrival]) -> None:
        arrivals.extend(some)
        new = [
            arrival
            for arrival in some
            if arrival.branch is not None
            and course.growth.known(arrival) is None
            and scored.setdefault(arrival.same, arrival) is arrival
        ]
        if new:
            await course.scoring.score([[arrival] for arrival in new])

    await together(course.sampler.each(*each, take) for each in asked)
    rank = {node.number: place for place, (node, _, _) in enumerate(asked)}
    arrivals.sort(key=lambda arrival: (rank[arrival.parent.number], arrival.place))
    for arrival in arrivals:  # the double that counts as the node may have come after the one that was scored
        if arrival.same in scored:
            double = scored[arrival.same]
            arrival.score, arrival.score_failure = double.score, double.score_failure
    return arrivals
