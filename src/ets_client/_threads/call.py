"""One call that a thread hands to the loop, and the way its outcome comes back."""

from __future__ import annotations

from _thread import allocate_lock
from abc import ABC, abstractmethod
from concurrent.futures import Future
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine

__all__ = ["Call", "FutureCall", "WaitedCall"]

T = TypeVar("T")


class Call(ABC, Generic[T]):
    """A coroutine to be. Exactly one of :meth:`succeed` and :meth:`fail` is called, once, wherever it ends.

    Attributes:
        task: runs it; None until the loop has made one.
        has_begun: whether the task has made its first step. Cancelled before, a task runs nothing at all, and the call
            would never end.
        is_cancelled: whether nobody wants its result any more.

    All three are read and written on the loop alone.
    """

    __slots__ = ("_args", "_kwargs", "_work", "context", "has_begun", "is_cancelled", "task")

    def __init__(
        self, work: Callable[..., Coroutine[Any, Any, T]], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Note what to call; the caller's context variables go along."""
        self._work = work
        self._args = args
        self._kwargs = kwargs
        self.context = copy_context()
        self.task: asyncio.Task[None] | None = None
        self.has_begun = False
        self.is_cancelled = False

    def begin(self) -> Coroutine[Any, Any, T]:
        """Make the coroutine."""
        return self._work(*self._args, **self._kwargs)

    def cancel(self) -> None:
        """Stop it, because nobody wants it any more."""
        self.is_cancelled = True
        self.interrupt()

    def interrupt(self) -> None:
        """Cancel its task, when that is under way."""
        if self.has_begun and self.task is not None:
            self.task.cancel()

    @abstractmethod
    def succeed(self, result: T) -> None:
        """Hand the result back."""

    @abstractmethod
    def fail(self, error: BaseException) -> None:
        """Hand the error back."""


class WaitedCall(Call[T]):
    """A call that one thread waits for.

    A bare lock carries the news: a `Future` has a condition, which is a second lock and a waiter's lock for each wait.
    """

    __slots__ = ("_done", "_error", "_result", "is_over")

    def __init__(
        self, work: Callable[..., Coroutine[Any, Any, T]], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Note what to call."""
        super().__init__(work, args, kwargs)
        self._done = allocate_lock()
        self._done.acquire()
        self._result: T | None = None
        self._error: BaseException | None = None
        self.is_over = False

    def succeed(self, result: T) -> None:
        """Hand the result back."""
        self._result = result
        self.is_over = True
        self._done.release()

    def fail(self, error: BaseException) -> None:
        """Hand the error back."""
        self._error = error
        self.is_over = True
        self._done.release()

    def wait(self, seconds: float = -1) -> None:
        """Wait for its end, or that long. Signals interrupt it in the main thread."""
        self._done.acquire(timeout=seconds)

    def result(self) -> T:
        """The result of a call that has ended, or its error with the traceback of the loop."""
        if self._error is None:
            return cast("T", self._result)
        try:
            raise self._error
        finally:
            self._error = None  # the traceback holds this frame, and this frame the error: no cycle is left behind


class FutureCall(Call[T]):
    """A call whose outcome goes into a future. Cancelling the future cancels the call.

    The future stays pending while the call runs, as that of :func:`asyncio.run_coroutine_threadsafe` does: a future
    that says it runs cannot be cancelled.
    """

    __slots__ = ("future",)

    def __init__(
        self, work: Callable[..., Coroutine[Any, Any, T]], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Note what to call."""
        super().__init__(work, args, kwargs)
        self.future: Future[T] = Future()

    def succeed(self, result: T) -> None:
        """Hand the result back."""
        future = self._let_go()
        if future.set_running_or_notify_cancel():
            future.set_result(result)

    def fail(self, error: BaseException) -> None:
        """Hand the error back."""
        future = self._let_go()
        if future.set_running_or_notify_cancel():
            future.set_exception(error)

    def _let_go(self) -> Future[T]:
        future = self.future
        del self.future  # its callbacks hold this call: the cycle would keep the result until the next collection
        return future
