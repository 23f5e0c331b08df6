from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import traceback
import weakref
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, as_completed, wait
from typing import TYPE_CHECKING, Any

import pytest

from ets_client import ConfigurationError
from ets_client._threads.loop_thread import LoopThread
from tests.threads.waiting import BOUND, interrupt_main_thread_when, until

if TYPE_CHECKING:
    from collections.abc import Iterator

WORD = contextvars.ContextVar("WORD", default="none")


async def nothing() -> None:
    pass


async def double(number: int, *, plus: int = 0) -> int:
    await asyncio.sleep(0)
    return 2 * number + plus


class Endless:
    """Work that ends when it is cancelled, and tells of both."""

    def __init__(self) -> None:
        self.has_begun = threading.Event()
        self.was_cancelled = threading.Event()

    async def run(self) -> None:
        self.has_begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.was_cancelled.set()
            raise


@pytest.fixture
def loop_thread() -> Iterator[LoopThread]:
    thread = LoopThread("test", nothing)
    thread.start()
    yield thread
    thread.close()


class TestCall:
    def test_the_result_comes_back(self, loop_thread: LoopThread) -> None:
        assert loop_thread.call(double, 3, plus=1) == 7

    def test_every_thread_gets_its_own_result(self, loop_thread: LoopThread) -> None:
        with ThreadPoolExecutor(64) as pool:
            found = list(pool.map(lambda number: loop_thread.call(double, number), range(5000)))
        assert found == [2 * number for number in range(5000)]

    def test_an_error_keeps_the_frames_of_the_loop(self, loop_thread: LoopThread) -> None:
        async def inner() -> None:
            raise KeyError("lost")

        async def outer() -> None:
            await inner()

        with pytest.raises(KeyError, match="lost") as caught:
            loop_thread.call(outer)
        names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
        assert names[0] == "test_an_error_keeps_the_frames_of_the_loop"
        assert names[-2:] == ["outer", "inner"]

    def test_an_error_leaves_no_cycle_behind(self, loop_thread: LoopThread) -> None:
        class OurError(Exception):
            pass

        async def fail() -> None:
            raise OurError

        def provoke() -> weakref.ref[OurError]:
            try:
                loop_thread.call(fail)
            except OurError as error:
                return weakref.ref(error)
            raise AssertionError

        gc.disable()
        try:
            ref = provoke()
            loop_thread.call(nothing)  # the loop lets go of the last call
            assert ref() is None
        finally:
            gc.enable()

    def test_arguments_that_do_not_fit_are_an_error_of_the_caller(self, loop_thread: LoopThread) -> None:
        with pytest.raises(TypeError, match="unexpected keyword"):
            loop_thread.call(double, 1, minus=1)  # type: ignore[call-arg]

    def test_systemexit_in_a_call_is_the_callers_and_not_the_loops(self, loop_thread: LoopThread) -> None:
        async def leave() -> None:
            raise SystemExit(3)

        with pytest.raises(SystemExit):
            loop_thread.call(leave)
        assert loop_thread.call(double, 1) == 2

    def test_context_variables_go_along_and_do_not_come_back(self, loop_thread: LoopThread) -> None:
        async def read_and_set() -> str:
            found = WORD.get()
            WORD.set("changed")
            return found

        WORD.set("mine")
        assert loop_thread.call(read_and_set) == "mine"
        assert WORD.get() == "mine"

    def test_one_wake_up_serves_all_calls_that_wait(
        self, loop_thread: LoopThread, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loop = loop_thread._loop
        wake_up, free = loop.call_soon_threadsafe, threading.Event()
        wake_ups = 0

        def count_and_wake(*callback: Any) -> asyncio.Handle:
            nonlocal wake_ups
            wake_ups += 1
            return wake_up(*callback)

        async def block() -> None:
            free.wait(BOUND)

        blocked = loop_thread.submit(block)
        until(lambda: blocked in {getattr(call, "future", None) for call in loop_thread._running})
        monkeypatch.setattr(loop, "call_soon_threadsafe", count_and_wake)
        calls = [loop_thread.submit(double, number) for number in range(50)]
        free.set()
        assert [call.result(BOUND) for call in calls] == [2 * number for number in range(50)]
        assert wake_ups == 1

    def test_an_interrupt_cancels_the_call_and_waits_for_its_end(self, loop_thread: LoopThread) -> None:
        work = Endless()
        presser = interrupt_main_thread_when(work.has_begun.is_set)
        with pytest.raises(KeyboardInterrupt):
            loop_thread.call(work.run)
        assert work.was_cancelled.is_set()
        presser.join(BOUND)
        assert loop_thread.call(double, 1) == 2

    def test_an_interrupt_in_the_middle_of_a_wake_up_leaves_nobody_asleep(
        self, loop_thread: LoopThread, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wake_up = loop_thread._loop.call_soon_threadsafe
        beside: list[Future[int]] = []

        def interrupted_once(*callback: Any) -> asyncio.Handle:
            if not beside:
                beside.append(loop_thread.submit(double, 3))  # it finds that somebody wakes the loop already
                raise KeyboardInterrupt
            return wake_up(*callback)

        monkeypatch.setattr(loop_thread._loop, "call_soon_threadsafe", interrupted_once)
        with pytest.raises(KeyboardInterrupt):
            loop_thread.call(double, 1)
        assert beside[0].result(BOUND) == 6
        assert loop_thread.call(double, 2) == 4

    def test_on_its_own_thread_it_is_refused_and_does_not_hang(self, loop_thread: LoopThread) -> None:
        async def call_again() -> None:
            loop_thread.call(nothing)

        async def close() -> None:
            loop_thread.close()

        for work in (call_again, close):
            with pytest.raises(ConfigurationError, match="own loop thread"):
                loop_thread.call(work)
        assert loop_thread.call(double, 1) == 2

    async def test_inside_another_loop_it_works(self, loop_thread: LoopThread) -> None:
        assert loop_thread.call(double, 4) == 8


class TestSubmit:
    def test_futures_work_with_those_who_wait_for_many(self, loop_thread: LoopThread) -> None:
        async def fail() -> int:
            raise ValueError("no")

        futures = [loop_thread.submit(double, number) for number in range(20)]
        assert sorted(future.result() for future in as_completed(futures, BOUND)) == list(range(0, 40, 2))
        failing = loop_thread.submit(fail)
        assert wait([failing], BOUND).done == {failing}
        with pytest.raises(ValueError, match="no"):
            failing.result()

    def test_cancelling_a_future_cancels_its_call(self, loop_thread: LoopThread) -> None:
        work = Endless()
        future = loop_thread.submit(work.run)
        assert work.has_begun.wait(BOUND)
        assert future.cancel()
        assert work.was_cancelled.wait(BOUND)
        assert wait([future], BOUND).done == {future}  # its waiters are told, too
        with pytest.raises(CancelledError):
            future.result()

    def test_waiters_hear_of_a_cancelled_future(self, loop_thread: LoopThread) -> None:
        work = Endless()
        future = loop_thread.submit(work.run)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(wait, [future], BOUND)
            assert work.has_begun.wait(BOUND)
            until(lambda: future._waiters)
            future.cancel()
            assert waiting.result(BOUND).done == {future}

    def test_a_future_cancelled_before_its_turn_begins_nothing(self, loop_thread: LoopThread) -> None:
        free, work = threading.Event(), Endless()

        async def block() -> None:
            free.wait(BOUND)

        blocked = loop_thread.submit(block)
        until(lambda: loop_thread._running)
        future = loop_thread.submit(work.run)
        assert future.cancel()
        free.set()
        blocked.result(BOUND)
        loop_thread.call(nothing)
        assert future.cancelled()
        assert not work.has_begun.is_set()
        assert wait([future], BOUND).done == {future}

    def test_a_finished_future_cannot_be_cancelled(self, loop_thread: LoopThread) -> None:
        future = loop_thread.submit(double, 1)
        assert future.result(BOUND) == 2
        assert not future.cancel()

    def test_a_future_leaves_no_cycle_behind(self, loop_thread: LoopThread) -> None:
        class Result:
            pass

        async def make() -> Result:
            return Result()

        gc.disable()
        try:
            ref = weakref.ref(loop_thread.submit(make).result(BOUND))
            loop_thread.call(nothing)  # the loop lets go of the last call
            assert ref() is None
        finally:
            gc.enable()

    def test_a_callback_may_submit_more(self, loop_thread: LoopThread) -> None:
        second: Future[Future[int]] = Future()
        first = loop_thread.submit(double, 1)
        first.add_done_callback(lambda done: second.set_result(loop_thread.submit(double, done.result())))
        assert second.result(BOUND).result(BOUND) == 4


class TestLife:
    def test_it_must_be_started_and_once(self) -> None:
        thread = LoopThread("test", nothing)
        with pytest.raises(ConfigurationError, match="not open"):
            thread.call(nothing)
        with pytest.raises(ConfigurationError, match="not open"):
            thread.submit(nothing)
        thread.close()
        thread.start()
        with pytest.raises(ConfigurationError, match="open already"):
            thread.start()
        thread.close()
        thread.close()
        for use in (thread.start, lambda: thread.call(nothing), lambda: thread.submit(nothing)):
            with pytest.raises(ConfigurationError, match="closed: make a new one"):
                use()

    def test_closing_ends_the_calls_of_other_threads_with_a_clear_error(self) -> None:
        thread = LoopThread("test", nothing)
        thread.start()
        work = [Endless() for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            waiting = [pool.submit(thread.call, each.run) for each in work[1:]]
            submitted = thread.submit(work[0].run)
            assert all(each.has_begun.wait(BOUND) for each in work)
            thread.close()
            for future in [*waiting, submitted]:
                with pytest.raises(ConfigurationError, match="closed by another thread"):
                    future.result(BOUND)
        assert all(each.was_cancelled.is_set() for each in work)

    @pytest.mark.parametrize("attempt", range(20))
    def test_no_call_hangs_when_the_client_closes_at_any_moment(self, attempt: int) -> None:
        thread = LoopThread("test", nothing)
        thread.start()
        ends = 0

        def call_until_it_is_closed() -> None:
            nonlocal ends
            try:
                while True:
                    assert thread.call(double, 2) == 4
            except ConfigurationError:
                ends += 1

        callers = [threading.Thread(target=call_until_it_is_closed, daemon=True) for _ in range(16)]
        for caller in callers:
            caller.start()
        for number in range(attempt * 5):
            thread.call(double, number)
        thread.close()
        for caller in callers:
            caller.join(BOUND)
        assert ends == len(callers)

    def test_an_error_of_the_end_reaches_who_closes(self) -> None:
        async def fail() -> None:
            raise OSError("too late")

        thread = LoopThread("test", fail)
        thread.start()
        with pytest.raises(OSError, match="too late"):
            thread.close()

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_a_callback_that_ends_the_loop_hangs_nobody(self) -> None:
        def leave(_: object) -> None:
            raise SystemExit

        async def wait_for_its_callback() -> None:
            has_callback.wait(BOUND)

        thread, work, has_callback = LoopThread("test", nothing), Endless(), threading.Event()
        thread.start()
        waiting = thread.submit(work.run)
        assert work.has_begun.wait(BOUND)
        thread.submit(wait_for_its_callback).add_done_callback(leave)
        has_callback.set()
        with pytest.raises(ConfigurationError, match="closed"):
            waiting.result(BOUND)
        with pytest.raises(ConfigurationError, match="closed"):
            thread.call(nothing)
        thread.close()

    def test_a_thread_that_cannot_start_leaves_nothing_open(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        thread = LoopThread("test", nothing)
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", fail)
            with pytest.raises(RuntimeError, match="can't start"):
                thread.start()
        thread.close()
