"""A scope for one search tree: what is pending in it ends with it."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from typing import TYPE_CHECKING

from ._engine.bookkeeper import ACCOUNT
from ._engine.deadline import Deadline
from ._engine.pending import PendingCalls
from .errors import ConfigurationError, TreeClosedError
from .policy_calls import PolicyCalls

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Hashable
    from types import TracebackType
    from typing import Any, Self, TypeVar

    from ._engine.admitter import Admitter
    from ._engine.connect import Connection
    from ._engine.expander import ExpandRequest
    from ._engine.streaming import SampleStream
    from .ledger import LedgerRow
    from .prefix import Prefix

    T = TypeVar("T")

__all__ = ["Tree"]

_FEW_STREAMS = 16


class Tree(PolicyCalls):
    """The calls of a client within one search tree; :meth:`AsyncPolicyClient.tree` makes it.

    Leaving it, for whatever reason, stops every sample that is still running in it on the server, and ends every call
    that waits in it, in whichever task, with a :class:`TreeClosedError`. Cancelling the leaving changes nothing of
    that: it goes on in the background. Its deadline holds for all its calls.

    Attributes:
        name: how errors call it.
    """

    def __init__(self, client: PolicyCalls, name: str, seconds: float | None, weight: float = 1.0) -> None:
        """Make a scope that is not entered yet.

        Args:
            client: whose calls they are.
            name: how errors call it.
            seconds: from entering it until its end at the latest; None for no limit.
            weight: its share of the turns, where there is admission.
        """
        self.name = self._name = name
        self._client = client
        self._seconds = seconds
        self._weight = weight
        self._pending = PendingCalls()
        self._end: Deadline | None = None
        self._admitter: Admitter | None = None
        self._is_left = False
        self._running: set[asyncio.Task[Any]] = set()
        self._streams: list[SampleStream] = []
        self._most_streams = _FEW_STREAMS

    async def __aenter__(self) -> Self:
        if self._end is not None:
            raise ConfigurationError(f"{self} was entered before: make a new one")
        connection = self._client._ready()
        self._admitter, self._books = connection.admitter, connection.cache.books
        self._account = self._books.open(self.name)
        self._end = Deadline.after(self._seconds)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_left = True
        for task in self._running:
            task.cancel()
        # Whoever is cancelled here (Ctrl-C in a thread that leaves) does not come again to end what is left.
        await asyncio.shield(asyncio.ensure_future(self._end_all()))

    @property
    def ledger(self) -> LedgerRow:
        """What its calls have cost the server until now, and what is still in use.

        Raises:
            ConfigurationError: it was never entered.
        """
        if self._account is None:
            raise ConfigurationError(f"{self} has no ledger yet: enter it first")
        return self._books.row(self._account)

    def __repr__(self) -> str:
        state = "left" if self._is_left else "not entered" if self._end is None else f"{len(self._running)} calls"
        return f"Tree({self.name!r}, {state})"

    def _ready(self) -> Connection:
        if self._is_left:
            raise TreeClosedError(self.name)
        if self._end is None:
            raise ConfigurationError(f"{self} is not open: use it inside `async with client.tree(...) as tree`")
        return self._client._ready()

    def _deadline(self, timeout: float | None) -> Deadline:
        own = self._client._deadline(timeout)
        end = self._end
        return own if end is None or end.at is None or (own.at is not None and own.at <= end.at) else end

    def _tree_of(self, prefix: Prefix) -> Hashable:  # noqa: ARG002 - all of them
        return self

    async def _end_all(self) -> None:
        # Together: one whose samples have ended is read out, for which a silent server has a second.
        await asyncio.gather(*(stream.aclose() for stream in self._streams))
        if self._running:
            await asyncio.wait(self._running)
        if self._admitter is not None:
            self._admitter.finish(self)
        if self._account is not None:
            self._books.close(self._account)

    async def _run(self, work: Coroutine[Any, Any, T], undo: Callable[[T], Awaitable[object]] | None = None) -> T:
        context = copy_context()
        context.run(ACCOUNT.set, self._account)
        task = asyncio.get_running_loop().create_task(work, context=context)
        self._running.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            if undo is not None and task.done() and not task.cancelled() and task.exception() is None:
                await undo(task.result())  # it had just ended when its caller was cancelled, who cannot undo it
            current = asyncio.current_task()
            if self._is_left and current is not None and not current.cancelling():
                raise TreeClosedError(self.name) from None
            raise
        finally:
            self._running.discard(task)

    async def _begin(
        self, opening: Coroutine[Any, Any, tuple[ExpandRequest, SampleStream]]
    ) -> tuple[ExpandRequest, SampleStream]:
        request, stream = await self._run(opening, lambda opened: opened[1].aclose())
        if self._is_left:  # it had just begun
            await stream.aclose()
            raise TreeClosedError(self.name)
        self._streams.append(stream)
        if len(self._streams) > self._most_streams:  # twice what ran at the last look: each stream is looked at twice
            self._streams = [other for other in self._streams if not other.is_over]
            self._most_streams = max(_FEW_STREAMS, 2 * len(self._streams))
        return request, stream
