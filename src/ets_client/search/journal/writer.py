"""The journal of a running search: lines are appended by one thread, as many at once as have come."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from .appended import AppendedFile
from .codec import encode_line
from .entries import EndEntry
from .errors import JournalError, JournalWriteError

if TYPE_CHECKING:
    import os
    from types import TracebackType
    from typing import Self

    from .entries import Entry
    from .lock import JournalLock

__all__ = ["Journal"]


@dataclass(frozen=True, slots=True)
class _Appended:
    line: bytes
    done: asyncio.Future[None]
    is_end: bool


class Journal:
    """Appends to a journal; one a file, which :class:`RunFolder` sees to.

    What :meth:`append` returned from is in the file, so that ``kill -9`` of this process cannot lose it. A crash of the
    machine can take what was not brought to disk (fsync) yet: that is done whenever a question ends, every
    ``sync_seconds``, and at the end. A thread of its own writes: a slow NFS delays those who await their lines, and
    nothing else. Lines of one pass of the event loop go to it together.

    Args:
        path: the file; it is created when missing and must end with a whole line.
        sync_seconds: longest time that a line waits for an fsync.
        lock: released when the file is closed.

    Raises:
        JournalWriteError: it cannot be opened for writing.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, sync_seconds: float = 5.0, lock: JournalLock | None = None
    ) -> None:
        self._file = AppendedFile(Path(path))
        self._sync_seconds = sync_seconds
        self._lock = lock
        self._queue = SimpleQueue[list[_Appended] | None]()
        self._passes: dict[asyncio.AbstractEventLoop, list[_Appended]] = {}  # lines of a loop's pass that is not over
        self._error: JournalError | None = None
        self._is_closing = False
        self._closed = Future[None]()
        self._closed.set_running_or_notify_cancel()  # whoever stops waiting for it does not stop it
        self._thread = Thread(target=self._work, name=f"journal {path}", daemon=True)
        self._thread.start()

    async def append(self, entry: Entry) -> None:
        """Append a line; lines are in the file in the order of these calls.

        Cancelling it does not take the line back: it will be in the file, and whole.

        Args:
            entry: what happened.

        Raises:
            JournalWriteError: the file cannot be written: the disk is full, say. The file ends with the last line that
                fitted; later appends raise the same, so that nothing is recorded of which a part is missing.
            JournalError: the journal is closed.
            ValueError: the entry holds a number that JSON cannot hold.
        """
        if self._is_closing:
            raise JournalError(f"the journal {self._file.path} is closed")
        line, loop = encode_line(entry), asyncio.get_running_loop()
        lines = self._passes.get(loop)
        if lines is None:
            # Scores of a batch come in one pass: to wake the thread takes longer than to write a line.
            lines = self._passes[loop] = []
            loop.call_soon(self._hand_over, loop)
        done = loop.create_future()
        lines.append(_Appended(line, done, isinstance(entry, EndEntry)))
        await done

    async def close(self) -> None:
        """Write what is pending, bring it to disk and close the file. Cancelling it only stops the waiting.

        Raises:
            JournalWriteError: as :meth:`append`.
        """
        self.shut()
        await asyncio.wrap_future(self._closed)

    def shut(self) -> Future[None]:
        """Begin to close, without a loop.

        Returns:
            Done when the file is closed.
        """
        if not self._is_closing:
            self._is_closing = True
            for loop in list(self._passes):  # a loop that was left has no pass to come
                self._hand_over(loop)
            self._queue.put(None)
        return self._closed

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give the lines of a loop's pass to the thread, unless closing did."""
        lines = self._passes.pop(loop, None)
        if lines is not None:
            self._queue.put(lines)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    # --- what follows runs in the thread ---

    def _work(self) -> None:
        is_open = True
        sync_at: float | None = None
        while is_open:
            batch, is_open = self._take(None if sync_at is None else max(0.0, sync_at - time.monotonic()))
            if self._error is not None:
                _settle(batch, self._error)
            elif batch:
                self._write(batch)
                sync_at = sync_at or time.monotonic() + self._sync_seconds
            is_due = sync_at is not None and time.monotonic() >= sync_at
            if sync_at is not None and (is_due or not is_open or any(each.is_end for each in batch)):
                self._sync()
                sync_at = None
        try:
            self._file.close()
        except JournalError as error:
            self._error = self._error or error
        if self._lock is not None:
            self._lock.release()
        if self._error is None:
            self._closed.set_result(None)
        else:
            self._closed.set_exception(self._error)

    def _take(self, seconds: float | None) -> tuple[list[_Appended], bool]:
        """All lines that have come, and whether more may come. Waits for the first, so long."""
        batch: list[_Appended] = []
        try:
            item = self._queue.get(timeout=seconds)
            while item is not None:
                batch += item
                item = self._queue.get_nowait()
        except Empty:
            return batch, True
        return batch, False

    def _write(self, batch: list[_Appended]) -> None:
        try:
            whole, self._error = self._file.write([each.line for each in batch])
        except Exception as error:  # noqa: BLE001 - whatever it is: an append that never returns would be worse
            whole, self._error = 0, JournalWriteError(f"cannot append to {self._file.path}: {error!r}")
        _settle(batch[:whole], None)
        _settle(batch[whole:], self._error)

    def _sync(self) -> None:
        if self._error is None:
            try:
                self._file.sync()
            except JournalError as error:
                self._error = error


def _settle(batch: list[_Appended], error: JournalError | None) -> None:
    """Tell who awaits these lines."""
    waiting = defaultdict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]](list)
    for each in batch:
        waiting[each.done.get_loop()].append(each.done)
    for loop, futures in waiting.items():
        try:
            loop.call_soon_threadsafe(_finish, futures, error)
        except RuntimeError:  # the loop is closed: nobody waits any more
            continue


def _finish(futures: list[asyncio.Future[None]], error: JournalError | None) -> None:
    for future in futures:
        if not future.done():
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
