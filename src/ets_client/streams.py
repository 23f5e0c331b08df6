"""Expands and generations that come while they grow."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._engine.branches import Found
from .errors import ConfigurationError, RequestError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from types import TracebackType
    from typing import Self

    from ._engine.branches import BranchMaker
    from ._engine.expander import ExpandRequest
    from ._engine.streaming import SampleStream
    from ._wire.stream import StreamedPart
    from .branch import Branch
    from .sampling import SamplingParams
    from .usage import Usage

__all__ = ["BranchStream", "Delta", "TextStream"]


@dataclass(frozen=True, slots=True)
class Delta:
    """What one chunk of a stream adds.

    Attributes:
        text: new text. When it ends at a stop string, the text that the server trims may have come before.
        token_ids: new token ids.
    """

    text: str
    token_ids: tuple[int, ...]


class _Opened:
    """Opens a stream on entering and ends it on leaving."""

    def __init__(
        self, begin: Callable[[], Awaitable[tuple[ExpandRequest, SampleStream]]], branches: BranchMaker
    ) -> None:
        self._begin = begin
        self._branches = branches
        self._request: ExpandRequest | None = None
        self._stream: SampleStream | None = None

    async def __aenter__(self) -> Self:
        if self._stream is not None:
            raise ConfigurationError("this stream was entered before: begin a new one")
        self._request, self._stream = await self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._entered()[1].aclose()

    @property
    def rids(self) -> tuple[str, ...]:
        """Request ids of the samples, in order, for :meth:`AsyncPolicyClient.abort`; none where it cannot stop them."""
        return self._entered()[1].rids

    @property
    def sampling(self) -> SamplingParams:
        """All fields as they were sent; of several samples, the ``i``-th had ``seed + i``."""
        return self._entered()[0].sampling

    def _entered(self) -> tuple[ExpandRequest, SampleStream]:
        if self._request is None or self._stream is None:
            raise ConfigurationError("enter the stream first: `async with client.stream(...) as stream`")
        return self._request, self._stream

    @property
    def warm_usage(self) -> Usage:
        """Tokens of requests without output that put the prefix into the cache; zero when there was none."""
        return self._entered()[1].warmed

    async def _made(self, parts: Sequence[StreamedPart]) -> list[Branch]:
        """The branches of samples that have ended."""
        request, stream = self._entered()
        found = [
            Found(part.sample, part.logprobs, stream.running(part.index)) for part in parts if part.sample is not None
        ]
        return await self._branches.make(request.prefix, request.sampling, request.limit, request.deadline, found)


class BranchStream(_Opened):
    """The branches of one expand in the order in which they end.

    ::

        async with client.expand_iter(prefix, n=8) as branches:
            async for branch in branches:
                if good_enough(branch):
                    break  # leaving stops the others on the server

    Without ``async with`` it can be iterated to its end: ``async for branch in client.expand_iter(prefix, n=8)``.
    """

    def __init__(
        self, begin: Callable[[], Awaitable[tuple[ExpandRequest, SampleStream]]], branches: BranchMaker
    ) -> None:
        super().__init__(begin, branches)
        self._given: list[Branch] = []
        self._ready: list[Branch] = []  # ended and not yet given out
        self._parts: list[StreamedPart] = []  # taken, and not yet branches

    async def __aiter__(self) -> AsyncIterator[Branch]:
        async with self if self._stream is None else contextlib.nullcontext():
            while True:
                if self._ready:
                    self._entered()[1].check_open()
                else:
                    self._ready = await self._following()
                    if not self._ready:
                        return
                branch = self._ready.pop(0)
                self._given.append(branch)
                yield branch

    async def ended(self) -> list[Branch]:
        """The branches that have ended by now and were not given out yet, in the order in which they ended.

        For whoever works on what comes together: iterating gives them one by one.

        Returns:
            At least one; none when all were given out.

        Raises:
            RequestError: the stream broke; what had ended before was given out.
            PrunedError: its path was pruned.
            TreeClosedError: its tree was left.
            ConfigurationError: it was not entered, or was left.

        Cancelling it loses nothing: it can be called again.
        """
        if self._ready:
            self._entered()[1].check_open()
        ended, self._ready = self._ready or await self._following(), []
        self._given += ended
        return ended

    async def _following(self) -> list[Branch]:
        try:
            parts = self._parts = self._parts or await self._entered()[1].ended()
            branches = await self._made(parts)
        except RequestError as error:
            error.branches = tuple(self._given)
            raise
        self._parts = []
        return branches


class TextStream(_Opened):
    """One continuation while it is written.

    ::

        async with client.stream(prefix) as stream:
            async for delta in stream:
                print(delta.text, end="")
        print(stream.branch.end)
    """

    _finished: Branch | None = None
    _part: StreamedPart | None = None  # taken and not yet given out

    async def __aiter__(self) -> AsyncIterator[Delta]:
        while True:
            part = self._part = self._part or await self._entered()[1].part()
            if part is None:
                return
            if part.sample is not None:
                (self._finished,) = await self._made([part])
            self._part = None
            if part.text or part.token_ids:
                yield Delta(part.text, part.token_ids)

    @property
    def branch(self) -> Branch:
        """The whole step, when the stream has ended.

        Raises:
            ConfigurationError: it has not.
        """
        if self._finished is None:
            raise ConfigurationError("the stream has not ended: iterate it to its end before you ask for its branch")
        return self._finished
