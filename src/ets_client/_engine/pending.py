"""Calls that are under way, by what they expand: so that those below a pruned path can be ended."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from ..errors import EtsClientError, PrunedError
from .scope import Scope

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from types import TracebackType
    from typing import Self

    from ..prefix import Prefix
    from .streaming import SampleStream

__all__ = ["PendingCall", "PendingCalls"]

_PATIENCE_SECONDS = 2.0  # for the replies to aborts, as long as the aborter waits for a server that takes none
_FEW_STREAMS = 16


class Stoppable(Protocol):
    """What a call has at the server."""

    def stop(self) -> bool:
        """Stop it; False when nothing has gone out."""
        ...


class PendingCall(Scope):
    """One call, from the task that waits for it entering this context to its end.

    Leaving it raises :class:`PrunedError`, instead of what the call came to, when its path was pruned meanwhile.

    Attributes:
        prefix: what it expands.
        pruned: the error that it ends with, when its path was pruned.
        tries: what it has at the server now.
    """

    __slots__ = ("_calls", "_timer", "prefix", "pruned", "tries")

    def __init__(self, prefix: Prefix, calls: set[PendingCall]) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine of ours runs in one
        super().__init__(task)
        self.prefix = prefix
        self.pruned: PrunedError | None = None
        self.tries: list[Stoppable] = []
        self._calls = calls
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._calls.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._calls.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        was_ended = self.leave()
        if kind is None or issubclass(kind, EtsClientError) or (was_ended and kind is asyncio.CancelledError):
            self.check_wanted()

    def prune(self, error: PrunedError) -> None:
        """End it: by aborts, whose replies tell what the samples had, or at once where nothing runs."""
        self.pruned = error
        stopped = [one.stop() for one in self.tries]
        if stopped and all(stopped):
            self._timer = asyncio.get_running_loop().call_later(_PATIENCE_SECONDS, self.end)
        else:
            self.end()

    def check_wanted(self) -> None:
        """Check that it was not pruned: what it would send then nobody wants.

        Raises:
            PrunedError: it was.
        """
        if self.pruned is not None:
            raise self.pruned


class PendingCalls:
    """The calls of a tree, or of a client outside of its trees."""

    def __init__(self) -> None:
        self._calls: set[PendingCall] = set()
        self._streams: list[tuple[Prefix, SampleStream]] = []
        self._most_streams = _FEW_STREAMS

    def call(self, prefix: Prefix) -> PendingCall:
        """A call on ``prefix``, which the present task makes in this context."""
        return PendingCall(prefix, self._calls)

    def add(self, prefix: Prefix, stream: SampleStream) -> None:
        """A stream on ``prefix`` has begun."""
        self._streams.append((prefix, stream))
        if len(self._streams) > self._most_streams:  # twice what ran at the last look: each stream is looked at twice
            self._streams = [known for known in self._streams if not known[1].is_over]
            self._most_streams = max(_FEW_STREAMS, 2 * len(self._streams))

    async def end_streams(self, why: Exception) -> None:
        """End all streams; whoever reads on gets ``why``."""
        # Together: one whose samples have ended is read out, for which a silent server has a second.
        await asyncio.gather(*(stream.aclose(why) for _, stream in self._streams))

    async def prune(self, tree: str, prefixes: Sequence[Prefix], gone: Collection[Prefix]) -> None:
        """End what is under way on these paths and below; its samples are aborted.

        Args:
            tree: how the errors call it.
            prefixes: where; what continues these very objects ends.
            gone: of these, paths that nobody uses any more: what continues an equal one ends too.
        """
        exact, equal = {id(prefix) for prefix in prefixes}, {prefix.fingerprint for prefix in gone}
        lengths = {len(prefix) for prefix in prefixes}

        def is_below(prefix: Prefix) -> bool:
            return any(
                len(node) in lengths and (id(node) in exact or node.fingerprint in equal) for node in prefix.path
            )

        for call in self._calls:
            if call.pruned is None and is_below(call.prefix):
                call.prune(PrunedError(tree, len(call.prefix)))
        for prefix, stream in self._streams:
            if not stream.is_over and is_below(prefix):
                await stream.aclose(PrunedError(tree, len(prefix)))
