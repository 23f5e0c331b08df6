"""The streams of :class:`PolicyClient`: expands and generations that come while they grow, for threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from .errors import ConfigurationError
from .streams import BranchStream, TextStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from types import TracebackType
    from typing import Self

    from ._threads.loop_thread import LoopThread
    from .branch import Branch
    from .sampling import SamplingParams
    from .streams import Delta
    from .usage import Usage

__all__ = ["SyncBranchStream", "SyncTextStream"]

S = TypeVar("S", BranchStream, TextStream)
T = TypeVar("T")


class _Blocking(Generic[S]):
    """Enters, follows and leaves a stream on the loop's thread."""

    def __init__(self, loop_thread: LoopThread, begin: Callable[[], S]) -> None:
        self._loop_thread = loop_thread
        self._begin: Callable[[], S] = begin
        self._stream: S | None = None

    def __enter__(self) -> Self:
        if self._stream is not None:
            raise ConfigurationError("this stream was entered before: begin a new one")
        try:
            self._loop_thread.call(self._enter)
        except BaseException:
            self._leave()  # the stream may have begun just before the exception came into this thread
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._entered()
        self._leave()

    @property
    def rids(self) -> tuple[str, ...]:
        """Request ids of the samples, in order, for :meth:`PolicyClient.abort`."""
        return self._entered().rids

    @property
    def sampling(self) -> SamplingParams:
        """All fields as they were sent; of several samples, the ``i``-th had ``seed + i``."""
        return self._entered().sampling

    @property
    def warm_usage(self) -> Usage:
        """Tokens of requests without output that put the prefix into the cache; zero when there was none."""
        return self._entered().warm_usage

    async def _enter(self) -> None:
        self._stream = await self._begin().__aenter__()

    def _leave(self) -> None:
        stream = self._stream
        if stream is None:
            return
        try:
            self._loop_thread.call(stream.__aexit__, None, None, None)
        except ConfigurationError:
            if self._loop_thread.is_open:
                raise
            # closing the client has ended the stream

    def _entered(self) -> S:
        if self._stream is None:
            raise ConfigurationError("enter the stream first: `with client.stream(...) as stream`")
        return self._stream

    def _each(self, items: AsyncIterator[T]) -> Iterator[T]:
        async def following() -> tuple[T] | None:
            async for item in items:
                return (item,)
            return None

        while (found := self._loop_thread.call(following)) is not None:
            yield found[0]


class SyncBranchStream(_Blocking[BranchStream]):
    """The branches of one expand in the order in which they end.

    ::

        with client.expand_iter(prefix, n=8) as branches:
            for branch in branches:
                if good_enough(branch):
                    break  # leaving stops the others on the server

    Without ``with`` it can be iterated to its end: ``for branch in client.expand_iter(prefix, n=8)``.
    """

    def __iter__(self) -> Iterator[Branch]:
        if self._stream is None:
            with self:
                yield from self._each(aiter(self._entered()))
        else:
            yield from self._each(aiter(self._stream))


class SyncTextStream(_Blocking[TextStream]):
    """One continuation while it is written.

    ::

        with client.stream(prefix) as stream:
            for delta in stream:
                print(delta.text, end="")
        print(stream.branch.end)
    """

    def __iter__(self) -> Iterator[Delta]:
        yield from self._each(aiter(self._entered()))

    @property
    def branch(self) -> Branch:
        """The whole step, when the stream has ended.

        Raises:
            ConfigurationError: it has not.
        """
        return self._entered().branch
