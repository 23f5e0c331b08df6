"""Samples of nodes: from the journal where they were paid for, else from the policy."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, TypeVar
from zlib import crc32

from .._together import together
from ..branch import EndReason
from ..errors import ServerBusyError, ServerFaultError, ServerUnreachableError
from ..sampling import SamplingParams
from ..usage import Usage
from .arrivals import Arrival
from .journal import StepEntry, branch_of, step_entry_of, usage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence

    from ..branch import Branch
    from ..policy_calls import PolicyCalls
    from .budget import Spending
    from .options import SearchOptions
    from .record import Record
    from .tree import Node

    Take = Callable[[Sequence[Arrival]], Coroutine[None, None, None]]

__all__ = ["Sampler"]

T = TypeVar("T")

_MOST_TOGETHER = 32  # of siblings, so that a level of hundreds is scored in several batches
_BROKE_OFF = (ServerUnreachableError, ServerFaultError, ServerBusyError)
_BROKEN = {EndReason.ABORTED: "aborted on the server", EndReason.FAILED: "the server says that the model broke"}


class Sampler:
    """Draws the steps of one search."""

    def __init__(
        self,
        calls: PolicyCalls,
        options: SearchOptions,
        sampling: SamplingParams,
        step: SamplingParams,
        record: Record,
        spending: Spending,
        *,
        number: int,
        max_path_tokens: int,
        needs_logprobs: bool,
    ) -> None:
        """Begin.

        Args:
            calls: the client, or one of its trees.
            options: of the search.
            sampling: fields that differ from the client's and the profile's.
            step: delimiters and length of a step, for calls that know none.
            record: of the search.
            spending: of the search.
            number: of the question.
            max_path_tokens: a path of so many tokens, the prompt not counted, is not continued.
            needs_logprobs: whether steps shall have log-probabilities.
        """
        self._calls = calls
        self._options = options
        self._sampling = sampling
        self._step = step
        self._record = record
        self._spending = spending
        self._number = number
        self._max_path_tokens = max_path_tokens
        self._needs_logprobs = needs_logprobs

    async def together(self, node: Node, first: int, n: int) -> list[Arrival]:
        """Samples of a node, when all are there, in order of place.

        Args:
            node: what to expand.
            first: place of the first sample.
            n: samples.

        Raises:
            RequestError: the expand failed.
        """
        paid, missing = self._paid(node, first, n)
        new = await together(self._expand(node, places) for places in missing)
        return sorted([*paid, *(each for some in new for each in some)], key=lambda arrival: arrival.place)

    async def each(self, node: Node, first: int, n: int, take: Take) -> None:
        """Samples of a node, each as it ends, those that were paid for first.

        Args:
            node: what to expand.
            first: place of the first sample.
            n: samples.
            take: awaited with those that come together, all at once.

        Raises:
            RequestError: a stream broke and could not be begun again.
        """
        paid, missing = self._paid(node, first, n)
        draw = self._stream if self._options.watch is None else self._watch
        if not paid:
            await together(draw(node, places, take) for places in missing)
            return
        try:
            async with asyncio.TaskGroup() as group:
                for places in missing:
                    group.create_task(draw(node, places, take))
                await take([arrival for arrival in paid if self._record.is_settled(arrival)])  # waits for nothing
                for some in _cut([arrival for arrival in paid if not self._record.is_settled(arrival)]):
                    group.create_task(take(some))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _expand(self, node: Node, places: range) -> list[Arrival]:
        start = time.monotonic()
        expansion = await self._calls.expand(
            node.prefix, len(places), self._sampling_of(node, places[0]), logprobs=self._needs_logprobs
        )
        pieces = await together(
            self._finish(node, place, branch) for place, branch in zip(places, expansion, strict=True)
        )
        arrivals = [self._arrival(node, place, each) for place, each in zip(places, pieces, strict=True)]
        request = {**_given(expansion.sampling), "plan": expansion.plan}
        await self._keep(arrivals, request, start, expansion.warm_usage)
        return arrivals

    async def _stream(self, node: Node, places: range, take: Take) -> None:
        start, missing = time.monotonic(), dict.fromkeys(places)
        sampling = self._sampling_of(node, places[0])
        try:
            async with asyncio.TaskGroup() as group:
                try:
                    async with self._calls.expand_iter(
                        node.prefix, len(places), sampling, logprobs=self._needs_logprobs
                    ) as branches:
                        request, warm = {**_given(branches.sampling), "plan": "a stream"}, branches.warm_usage
                        place_of = dict(zip(branches.rids, places, strict=False))
                        while ended := await branches.ended():
                            found: dict[int, Branch] = {}
                            for branch in ended:
                                # A router's samples have ids of its own: they are placed as they come.
                                place = place_of.get(branch.rid)
                                place = next(iter(missing)) if place is None else place
                                del missing[place]
                                found[place] = branch
                            for some in self._siblings(found):
                                own = _with_seed(request, some[0] - places[0])
                                siblings = [found[place] for place in some]
                                group.create_task(self._end(node, some, siblings, own, start, warm, take))
                                warm = Usage()
                except _BROKE_OFF:
                    # The client sends a stream that has begun no second time, but an expand as often as it takes.
                    for some in _ranges(missing):
                        group.create_task(self._give(node, some, take))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    def _siblings(self, found: Mapping[int, Branch]) -> Iterator[Sequence[int]]:
        """Places that can be worked on together: one after the other, and not a step that has to be continued first."""
        going_on = [place for place, branch in found.items() if self._goes_on(branch)]
        for some in _ranges(sorted(found.keys() - going_on)):
            yield from _cut(some)
        yield from ((place,) for place in going_on)

    async def _give(self, node: Node, places: range, take: Take) -> None:
        await together(take(some) for some in _cut(await self._expand(node, places)))

    async def _end(
        self,
        node: Node,
        places: Sequence[int],
        branches: Sequence[Branch],
        request: dict[str, Any],
        start: float,
        warm: Usage,
        take: Take,
    ) -> None:
        arrivals = [
            self._arrival(node, place, await self._finish(node, place, branch))
            for place, branch in zip(places, branches, strict=True)
        ]
        await self._keep(arrivals, request, start, warm)
        await take(arrivals)

    async def _watch(self, node: Node, places: range, take: Take) -> None:
        warm = await self._warm(node, len(places))
        usages = [warm, *[Usage()] * (len(places) - 1)]
        await together(self._watch_one(node, place, usage, take) for place, usage in zip(places, usages, strict=True))

    async def _watch_one(self, node: Node, place: int, warm: Usage, take: Take) -> None:
        watch = self._options.watch
        assert watch is not None  # noqa: S101 - see `each`
        start, text, tokens = time.monotonic(), "", 0
        branch: Branch | None = None
        sampling = self._sampling_of(node, place).over(self._step)
        try:
            async with self._calls.stream(node.prefix, sampling, logprobs=self._needs_logprobs) as stream:
                request = {**_given(stream.sampling), "plan": "a stream that is watched"}
                rid = stream.rids[0] if stream.rids else ""
                async for delta in stream:
                    text, tokens = text + delta.text, tokens + len(delta.token_ids)
                    if delta.text and not watch(node, text):
                        break
                else:
                    branch = stream.branch
        except _BROKE_OFF:
            await self._give(node, range(place, place + 1), take)
            return
        if branch is not None:
            await self._end(node, (place,), (branch,), request, start, warm, take)
            return
        failed = "refused while it was written"
        step = StepEntry([], text, "", EndReason.ABORTED.value, rid, generated=tokens, failed=failed)
        arrival = Arrival(node, place, step, None)
        await self._keep([arrival], request, start, warm)
        await take([arrival])

    async def _warm(self, node: Node, n: int) -> Usage:
        """Once, before many streams of one sample each."""
        return await self._calls.warm(node.prefix) if n > 1 else Usage()

    async def _finish(self, node: Node, place: int, branch: Branch) -> list[Branch]:
        """The pieces of a step, of which all but the last are as long as a step may be."""
        pieces = [branch]
        while self._goes_on(pieces[-1]):
            sampling = self._sampling_of(node, place)
            pieces += await self._calls.expand(pieces[-1].prefix, 1, sampling, logprobs=self._needs_logprobs)
        return pieces

    def _goes_on(self, piece: Branch) -> bool:
        """Whether a step that met its length is continued."""
        return (
            self._options.on_length == "continue"
            and piece.end is EndReason.STEP_LENGTH
            and len(piece.prefix) - len(piece.prefix.root) < self._max_path_tokens
        )

    def _arrival(self, node: Node, place: int, pieces: Sequence[Branch]) -> Arrival:
        last = pieces[-1]
        failed = _BROKEN.get(last.end)
        if last.end is EndReason.STEP_LENGTH and self._options.on_length == "drop":
            failed = "as long as a step may be"
        step = step_entry_of(*pieces, failed=failed)
        if failed is not None:
            return Arrival(node, place, step, None)
        return Arrival(node, place, step, last if len(pieces) == 1 else branch_of(step, node.prefix))

    async def _keep(self, arrivals: Sequence[Arrival], request: dict[str, Any], start: float, warm: Usage) -> None:
        self._spend(arrivals, warm)
        await self._record.sampled(arrivals, request, time.monotonic() - start, warm)

    def _paid(self, node: Node, first: int, n: int) -> tuple[list[Arrival], list[range]]:
        paid, warm = self._record.steps(node, first, n)
        self._spending.expanded(Usage(), expands=1)
        self._spend(paid, warm)
        known = {arrival.place for arrival in paid}
        return paid, list(_ranges(place for place in range(first, first + n) if place not in known))

    def _spend(self, arrivals: Iterable[Arrival], warm: Usage) -> None:
        steps = [arrival.step for arrival in arrivals]
        usage = sum(map(usage_of, steps), start=warm)
        self._spending.expanded(usage, expands=sum(step.pieces - 1 for step in steps))

    def _sampling_of(self, node: Node, place: int) -> SamplingParams:
        seed = self._options.seed
        if seed is None:
            return self._sampling
        # Of the node's id and the place, so that a resumed search asks for what an undisturbed one would have.
        own = (seed + (crc32(f"{self._number}:{node.id}".encode()) << 16)) % 2**48 + place
        return SamplingParams(seed=own).over(self._sampling)


def _cut(siblings: Sequence[T]) -> Iterator[Sequence[T]]:
    """Siblings, or their places, in as many as are scored together."""
    return (siblings[first : first + _MOST_TOGETHER] for first in range(0, len(siblings), _MOST_TOGETHER))


def _ranges(places: Iterable[int]) -> list[range]:
    """Places in ascending order as ranges without gaps."""
    found: list[range] = []
    for place in places:
        if found and found[-1].stop == place:
            found[-1] = range(found[-1].start, place + 1)
        else:
            found.append(range(place, place + 1))
    return found


def _with_seed(request: dict[str, Any], skipped: int) -> dict[str, Any]:
    return {**request, "seed": request["seed"] + skipped} if skipped and "seed" in request else request


def _given(sampling: SamplingParams) -> dict[str, Any]:
    fields: dict[str, Any] = sampling.given()
    for name, value in fields.items():
        if isinstance(value, tuple):
            fields[name] = [*value]
    return fields
