"""Calls that are under way, by what they expand: so that those below a pruned path can be ended."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from ..errors import PrunedError

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine, Sequence
    from typing import Any

    from ..prefix import Prefix
    from .streaming import SampleStream

__all__ = ["PendingCalls"]

T = TypeVar("T")


class _Call:
    """One call, and the task that waits for it."""

    __slots__ = ("cancelling", "prefix", "pruned", "task")

    def __init__(self, prefix: Prefix, task: asyncio.Task[Any]) -> None:
        self.prefix = prefix
        self.task = task
        self.cancelling = task.cancelling()
        self.pruned: PrunedError | None = None


class PendingCalls:
    """The calls of a tree, or of a client outside of its trees."""

    def __init__(self) -> None:
        self._calls: set[_Call] = set()
        self._streams: list[tuple[Prefix, SampleStream]] = []

    async def run(self, prefix: Prefix, work: Coroutine[Any, Any, T]) -> T:
        """Await a call on ``prefix``, unless the path is pruned before it ends.

        Raises:
            PrunedError: it was; the call has been cancelled.
        """
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine of ours runs in one
        call = _Call(prefix, task)
        self._calls.add(call)
        try:
            return await work
        except asyncio.CancelledError:
            # As asyncio.timeout does it: of two cancellations, only ours is turned into an error.
            if call.pruned is not None and task.uncancel() <= call.cancelling:
                raise call.pruned from None
            raise
        finally:
            self._calls.discard(call)

    def add(self, prefix: Prefix, stream: SampleStream) -> None:
        """A stream on ``prefix`` has begun."""
        self._streams = [*(known for known in self._streams if not known[1].is_over), (prefix, stream)]

    async def prune(self, tree: str, prefixes: Sequence[Prefix], gone: Collection[Prefix]) -> None:
        """End what is under way on these paths and below; its samples are aborted in the background.

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
                call.pruned = PrunedError(tree, len(call.prefix))
                call.task.cancel()
        for prefix, stream in self._streams:
            if not stream.is_over and is_below(prefix):
                await stream.aclose(PrunedError(tree, len(prefix)))

    def __repr__(self) -> str:
        return f"PendingCalls({len(self._calls)} calls)"
