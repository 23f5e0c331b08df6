"""Calls that are under way, by what they expand: so that those below a pruned path can be ended."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar

from ..errors import EtsClientError, PrunedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
    from typing import Any

    from ..prefix import Prefix
    from .streaming import SampleStream

__all__ = ["CALL", "PendingCall", "PendingCalls"]

T = TypeVar("T")

CALL: ContextVar[PendingCall | None] = ContextVar("ets_client_call", default=None)
"""The call of a search that the present task works for."""

_PATIENCE_SECONDS = 2.0  # for the replies to aborts, as long as the aborter waits for a server that takes none


class PendingCall:
    """One call, and the task that waits for it.

    Attributes:
        prefix: what it expands.
        task: whose end is the call's.
        pruned: the error that it ends with, when its path was pruned.
        tries: what it has at the server now, and how to stop it; that says False when nothing has gone out.
    """

    __slots__ = ("_cancelling", "_has_cancelled", "_timer", "prefix", "pruned", "task", "tries")

    def __init__(self, prefix: Prefix, task: asyncio.Task[Any]) -> None:
        self.prefix = prefix
        self.task = task
        self.pruned: PrunedError | None = None
        self.tries: dict[object, Callable[[], bool]] = {}
        self._cancelling = task.cancelling()
        self._has_cancelled = False
        self._timer: asyncio.TimerHandle | None = None

    def prune(self, error: PrunedError) -> None:
        """End it: by aborts, whose replies tell what the samples had, or at once where nothing runs."""
        self.pruned = error
        stopped = [stop() for stop in self.tries.values()]
        if stopped and all(stopped):
            self._timer = self.task.get_loop().call_later(_PATIENCE_SECONDS, self._cancel)
        else:
            self._cancel()

    def check_wanted(self) -> None:
        """Check that it was not pruned: what it would send then nobody wants.

        Raises:
            PrunedError: it was.
        """
        if self.pruned is not None:
            raise self.pruned

    def was_cancelled_by_us(self) -> bool:
        """Whether a cancellation that arrived is that of :meth:`prune` alone, as asyncio.timeout finds out."""
        return self._has_cancelled and self.task.uncancel() <= self._cancelling

    def _cancel(self) -> None:
        self._has_cancelled = True
        self.task.cancel()

    def close(self) -> None:
        """It has ended."""
        if self._timer is not None:
            self._timer.cancel()


class PendingCalls:
    """The calls of a tree, or of a client outside of its trees."""

    def __init__(self) -> None:
        self._calls: set[PendingCall] = set()
        self._streams: list[tuple[Prefix, SampleStream]] = []

    async def run(
        self, prefix: Prefix, work: Coroutine[Any, Any, T], undo: Callable[[T], Awaitable[object]] | None = None
    ) -> T:
        """Await a call on ``prefix``, unless the path is pruned before it ends.

        Args:
            prefix: what it expands.
            work: the call.
            undo: ends what it has begun, when its result is not wanted any more.

        Raises:
            PrunedError: it was; its samples have been stopped.
        """
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine of ours runs in one
        call = PendingCall(prefix, task)
        self._calls.add(call)
        token = CALL.set(call)
        try:
            result = await work
        except asyncio.CancelledError:
            if call.was_cancelled_by_us():
                call.check_wanted()
            raise
        except EtsClientError:
            call.check_wanted()
            raise
        else:
            if call.pruned is not None and undo is not None:
                await undo(result)
            call.check_wanted()
            return result
        finally:
            CALL.reset(token)
            call.close()
            self._calls.discard(call)

    def add(self, prefix: Prefix, stream: SampleStream) -> None:
        """A stream on ``prefix`` has begun."""
        self._streams = [*(known for known in self._streams if not known[1].is_over), (prefix, stream)]

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
