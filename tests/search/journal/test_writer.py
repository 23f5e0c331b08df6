"""The journal's writer: what is awaited is in the file, whole, whatever happens."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from ets_client.search.journal import EndEntry, Journal, JournalError, JournalWriteError, StepsEntry
from ets_client.search.journal.appended import AppendedFile
from ets_client.search.journal.codec import decode_line
from ets_client.search.journal.file import JournalFile

from .lines import question, steps

if TYPE_CHECKING:
    from pathlib import Path


def lines(path: Path) -> list[object]:
    data = path.read_bytes()
    assert data.endswith(b"\n") or not data
    return [decode_line(line) for line in data.split(b"\n")[:-1]]


async def test_what_was_awaited_is_in_the_file_in_the_order_of_the_calls(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    entries = [steps("r", "a", first=place) for place in range(500)]
    async with Journal(path) as journal:
        for entry in entries[:3]:
            await journal.append(entry)
            assert lines(path)[-1] == entry
        await asyncio.gather(*(journal.append(entry) for entry in entries[3:]))
        assert lines(path) == entries
    async with Journal(path) as journal:
        await journal.append(question())
    assert lines(path) == [*entries, question()]


async def test_lines_that_come_together_are_written_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    write, gate = AppendedFile.write, threading.Event()

    def slow(self: AppendedFile, batch: list[bytes]) -> object:
        gate.wait(10)
        written.append(len(batch))
        return write(self, batch)

    monkeypatch.setattr(AppendedFile, "write", slow)
    async with Journal(tmp_path / "journal.jsonl") as journal:
        waiting = [asyncio.ensure_future(journal.append(steps("r", "a", first=place))) for place in range(200)]
        await asyncio.sleep(0)  # the loop goes on while the file hangs
        assert not any(each.done() for each in waiting)
        gate.set()
        await asyncio.gather(*waiting)
    assert sum(written) == 200
    assert len(written) <= 3


async def test_lines_of_one_pass_of_the_loop_are_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    write = AppendedFile.write

    def count(self: AppendedFile, batch: list[bytes]) -> object:
        written.append(len(batch))
        return write(self, batch)

    monkeypatch.setattr(AppendedFile, "write", count)
    async with Journal(tmp_path / "journal.jsonl") as journal:
        for size in (50, 1, 7):
            await asyncio.gather(*(journal.append(steps("r", "a", first=place)) for place in range(size)))
    assert written == [50, 1, 7]


def test_a_loop_that_was_closed_in_its_pass_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    loop = asyncio.new_event_loop()
    appending = loop.create_task(journal.append(steps("r", "a")))
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    journal.shut().result(10)
    assert lines(path) == [steps("r", "a")]
    assert not appending.done()
    appending._log_destroy_pending = False  # type: ignore[attr-defined]


async def test_a_cancelled_append_leaves_a_whole_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, gate = AppendedFile.write, threading.Event()

    def slow(self: AppendedFile, batch: list[bytes]) -> object:
        gate.wait(10)
        return write(self, batch)

    monkeypatch.setattr(AppendedFile, "write", slow)
    path = tmp_path / "journal.jsonl"
    async with Journal(path) as journal:
        appending = asyncio.ensure_future(journal.append(steps("r", "a")))
        await asyncio.sleep(0)
        appending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await appending
        gate.set()
        await journal.append(steps("r", "b"))
    assert lines(path) == [steps("r", "a"), steps("r", "b")]


async def test_closing_writes_what_is_pending_even_when_nobody_waits_for_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    appending = asyncio.ensure_future(journal.append(steps("r", "a")))
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(journal.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await appending
    await journal.close()
    with pytest.raises(JournalError, match="closed"):
        await journal.append(question())
    assert lines(path) == [steps("r", "a")]


def test_a_loop_that_ended_without_closing_loses_nothing_and_hangs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)

    async def abandon() -> None:
        appending = asyncio.ensure_future(journal.append(steps("r", "a")))
        await asyncio.sleep(0)
        appending.cancel()

    asyncio.run(abandon())
    journal.shut().result(10)
    assert lines(path) == [steps("r", "a")]


async def test_the_file_is_brought_to_disk_at_question_ends_after_a_while_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    first = threading.Event()

    def sync(self: AppendedFile) -> None:
        synced.append(self.path.stat().st_size)
        first.set()

    monkeypatch.setattr(AppendedFile, "sync", sync)
    path = tmp_path / "journal.jsonl"
    async with Journal(path, sync_seconds=3600.0) as journal:
        await journal.append(steps("r", "a"))
        assert synced == []
        await journal.append(EndEntry(0, "2", "done", 1.0))
        assert await asyncio.to_thread(first.wait, 10)
        assert synced == [path.stat().st_size]
        await journal.append(question(1))
    assert synced[1:] == [path.stat().st_size]
    first.clear()
    async with Journal(path, sync_seconds=0.01) as journal:
        await journal.append(question(2))
        assert await asyncio.to_thread(first.wait, 10)


async def test_a_failed_fsync_stops_the_run_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, os.strerror(28))  # as NFS tells of it

    monkeypatch.setattr(os, "fsync", full)
    journal = Journal(tmp_path / "journal.jsonl")
    await journal.append(EndEntry(0, "2", "done", 1.0))

    async def go_on() -> None:
        while True:
            await journal.append(question())

    with pytest.raises(JournalWriteError, match="No space left on device; free some space"):
        await go_on()
    with pytest.raises(JournalWriteError, match="to disk"):
        await journal.close()


async def test_whatever_goes_wrong_no_append_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: AppendedFile, batch: list[bytes]) -> object:
        raise MemoryError

    monkeypatch.setattr(AppendedFile, "write", fail)
    journal = Journal(tmp_path / "journal.jsonl")
    for _ in range(2):
        with pytest.raises(JournalWriteError, match=r"MemoryError\(\)"):
            await asyncio.wait_for(journal.append(question()), 10)
    with pytest.raises(JournalWriteError):
        await journal.close()


async def test_a_folder_that_is_missing_or_read_only_is_told_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(JournalWriteError, match="No such file or directory; mend that"):
        Journal(tmp_path / "nowhere" / "journal.jsonl")

    def refuse(*args: object) -> int:
        raise OSError(30, os.strerror(30))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(JournalWriteError, match="Read-only file system; that file system is read-only: choose another"):
        Journal(tmp_path / "journal.jsonl")


FILLING = """
import asyncio, resource, sys
from pathlib import Path
from ets_client.search.journal import Journal, JournalWriteError
from tests.search.journal.lines import steps

async def main():
    path = Path(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    journal = Journal(path)
    appends = [journal.append(steps("r", "a" * 50, first=n)) for n in range(100)]
    done = await asyncio.gather(*appends, return_exceptions=True)
    fitted = [n for n, each in enumerate(done) if each is None]
    assert fitted == list(range(len(fitted))), fitted
    assert all(isinstance(each, JournalWriteError) for each in done[len(fitted):]), done
    try:
        await journal.append(steps("r", "b"))
        raise SystemExit("appended after the disk was full")
    except JournalWriteError as error:
        print(len(fitted), error)
    try:
        await journal.close()
    except JournalWriteError:
        pass

asyncio.run(main())
"""


def test_a_full_disk_ends_the_file_with_the_last_line_that_fits(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    done = subprocess.run([sys.executable, "-c", FILLING, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    fitted, _, message = done.stdout.partition(" ")
    assert "ulimit -f" in message
    assert lines(path) == [steps("r", "a" * 50, first=n) for n in range(int(fitted))]
    assert 0 < path.stat().st_size <= 10_000


APPENDING = """
import asyncio, sys
from pathlib import Path
from ets_client.search.journal import Journal
from tests.search.journal.lines import steps

async def main():
    journal = Journal(Path(sys.argv[1]))
    async def work(parent):
        for place in range(1_000_000):
            await journal.append(steps(parent, "a" * 500, first=place))
            print(parent, place, flush=True)
    await asyncio.gather(*(work(f"r.{n}") for n in range(8)))

asyncio.run(main())
"""


@pytest.mark.parametrize("lines_before_the_kill", [1, 40, 333])
def test_kill_minus_nine_loses_nothing_that_was_awaited(tmp_path: Path, lines_before_the_kill: int) -> None:
    path = tmp_path / "journal.jsonl"
    with subprocess.Popen([sys.executable, "-c", APPENDING, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(lines_before_the_kill)]
        process.send_signal(signal.SIGKILL)
        told += process.stdout.readlines()
    file = JournalFile(path)
    assert file.index.damaged is None
    kept = {(entry.parent, entry.first) for entry in file[0] if isinstance(entry, StepsEntry)}
    awaited = {(parent, int(place)) for parent, place in (line.split() for line in told if line.endswith("\n"))}
    assert len(awaited) >= lines_before_the_kill
    assert awaited <= kept
