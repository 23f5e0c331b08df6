"""The thread of the loop, from its start to its end."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
import warnings
import weakref
from _thread import get_ident
from collections import deque
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from ..errors import ConfigurationError
from .call import FutureCall, WaitedCall

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Future

    from .call import Call

__all__ = ["LoopThread"]

P = ParamSpec("P")
T = TypeVar("T")
_GIVE_UP_SECONDS = 2.0
_EXIT_SECONDS = 5.0  # aborts have 4 s
_CLOSED = "this client is closed: make a new one"
_CLOSED_MEANWHILE = "this client was closed by another thread while the call ran"
_opened: weakref.WeakSet[LoopThread] = weakref.WeakSet()


class LoopThread:
    """An event loop in a daemon thread. Any number of threads hand calls to it and wait for them.

    Calls go into a deque and one wake-up of the loop serves all that are there when it comes: with 64 threads that
    halves the cost of :func:`asyncio.run_coroutine_threadsafe`, which wakes the loop for each call
    (``benchmarks/threads.py``).
    """

    def __init__(self, name: str, on_close: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Make one; nothing runs yet.

        Args:
            name: of the thread.
            on_close: awaited on the loop at the end, when all calls have ended.
        """
        self._name = name
        self._on_close = on_close
        self._handed_over: deque[Call[Any]] = deque()
        self._running: set[Call[Any]] = set()
        self._is_woken = False
        self._is_open = False
        self._is_forked = False
        self._thread: threading.Thread | None = None
        self._ident: int | None = None
        self._error: Exception | None = None

    def start(self) -> None:
        """Run the loop.

        Raises:
            ConfigurationError: it was started before.
        """
        if self._thread is not None:
            raise self._refusal() if not self._is_open else ConfigurationError("this client is open already")
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        try:
            thread.start()
        except BaseException:
            self._loop.close()
            raise
        self._thread, self._ident = thread, thread.ident
        self._is_open = True
        _opened.add(self)

    def call(self, work: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a coroutine on the loop and wait for it.

        An exception in the waiting thread (Ctrl-C) cancels it, waits until it has ended, and goes on.

        Raises:
            ConfigurationError: the loop does not run, or it is this thread's own.
        """
        if not self._is_open or get_ident() == self._ident:
            raise self._refusal()
        call = WaitedCall(work, args, kwargs)
        try:
            self._hand_over(call)
            call.wait()
        except BaseException:
            self._cancel(call)
            if not call.is_over:
                call.wait(_GIVE_UP_SECONDS)
            raise
        return call.result()

    def submit(self, work: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a coroutine on the loop. Cancelling the future cancels it.

        Raises:
            ConfigurationError: the loop does not run.
        """
        if not self._is_open:
            raise self._refusal()
        call = FutureCall(work, args, kwargs)
        future = call.future
        future.add_done_callback(lambda done: self._cancel(call) if done.cancelled() else None)
        self._hand_over(call)
        return future

    @property
    def is_open(self) -> bool:
        """Whether it takes calls."""
        return self._is_open

    def close(self) -> None:
        """Cancel all calls, await ``on_close`` and end the thread. Does nothing in a forked child.

        Raises:
            ConfigurationError: it was called on the loop itself.
            Exception: what ``on_close`` raised.
        """
        if self._is_forked or self._thread is None:
            return
        if get_ident() == self._ident:
            raise self._refusal()
        self.stop()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Begin the end, and do not wait for it."""
        self._is_open = False
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._stopping.set)

    def join(self, seconds: float) -> None:
        """Wait for the end of the thread, for at most that long."""
        if self._thread is not None:
            self._thread.join(seconds)

    def after_fork(self) -> None:
        """Let go in a child: the thread stayed in the parent, and so did all calls."""
        # The loop is left as it is: its epoll is the parent's too, and closing it here would make the parent deaf.
        self._is_forked, self._is_open = True, False

    def _refusal(self) -> ConfigurationError:
        if self._is_forked:
            return ConfigurationError(
                "this client was opened before the process forked, and its loop and its connections are the parent's: "
                "open another client in the child"
            )
        if self._thread is None:
            return ConfigurationError("the client is not open: use it inside `with PolicyClient(...) as client`")
        if get_ident() == self._ident:
            return ConfigurationError(
                "a blocking call on the client's own loop thread would wait for itself for ever: use submit_expand, or "
                "make the call in another thread"
            )
        return ConfigurationError(_CLOSED)

    def _hand_over(self, call: Call[Any]) -> None:
        self._handed_over.append(call)
        # The loop takes the flag down before it empties the deque: whoever finds it up is served by that round.
        if not self._is_woken:
            try:
                self._is_woken = True
                self._loop.call_soon_threadsafe(self._begin_all)
            except RuntimeError:  # the loop is closed
                pass
            except BaseException:
                # Ctrl-C in the middle of it: others may have found the flag up, and a flag left up wakes nobody.
                self._is_woken = False
                with contextlib.suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._begin_all)
                raise
        if not self._is_open:  # it was closed since we looked, and perhaps nobody comes for the deque any more
            self._refuse_all()

    def _cancel(self, call: Call[Any]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, and with it the call has ended
            self._loop.call_soon_threadsafe(call.cancel)

    # -- on the loop ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                try:
                    runner.run(self._main())
                finally:
                    self._is_open = False  # also when a callback of the user's raised SystemExit
        finally:
            _opened.discard(self)
            self._refuse_all()
            for call in self._running:  # tasks that the runner cancelled before their first step
                call.fail(ConfigurationError(_CLOSED_MEANWHILE))

    async def _main(self) -> None:
        await self._stopping.wait()
        self._refuse_all()
        while self._running:
            for call in self._running:
                call.interrupt()
            await asyncio.wait([call.task for call in self._running if call.task is not None])
        try:
            await self._on_close()
        except Exception as error:  # noqa: BLE001 - whoever closes gets it
            self._error = error

    def _begin_all(self) -> None:
        self._is_woken = False
        if not self._is_open:
            self._refuse_all()
        while self._handed_over:
            try:
                call = self._handed_over.popleft()
            except IndexError:  # a thread refused it
                return
            call.task = self._loop.create_task(self._drive(call), context=call.context)
            self._running.add(call)

    async def _drive(self, call: Call[T]) -> None:
        call.has_begun = True
        try:
            if call.is_cancelled or not self._is_open:
                raise asyncio.CancelledError  # noqa: TRY301 - as if it had come while the call ran
            result = await call.begin()
        except asyncio.CancelledError as error:
            was_closed = not self._is_open and not call.is_cancelled
            call.fail(ConfigurationError(_CLOSED_MEANWHILE) if was_closed else error)
        except BaseException as error:  # noqa: BLE001 - the waiting thread's, whatever it is
            call.fail(error)
        else:
            call.succeed(result)
        finally:
            self._running.discard(call)

    def _refuse_all(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                self._handed_over.popleft().fail(ConfigurationError(_CLOSED))


def _after_fork() -> None:
    for thread in list(_opened):
        thread.after_fork()


def _at_exit() -> None:
    left = [thread for thread in list(_opened) if thread.is_open]
    for thread in left:
        thread.stop()
    for thread in list(_opened):
        thread.join(_EXIT_SECONDS)
    if left:
        warnings.warn(f"{len(left)} PolicyClient not closed at exit: use `with`", ResourceWarning, stacklevel=1)


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
