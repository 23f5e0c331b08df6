from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ets_client import ConfigurationError
from ets_client.search.children import TreeRules
from ets_client.search.journal import (
    JournalDamagedError,
    JournalError,
    JournalLockedError,
    JournalWriteError,
    RunEntry,
    RunFolder,
)
from ets_client.search.journal.codec import encode_line
from ets_client.search.journal.file import JournalFile
from ets_client.search.manifest import ServerRecord

from .lines import MACHINE, manifest, question, steps


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "runs" / "one")


async def write_one(folder: RunFolder) -> None:
    async with folder.begin(manifest()) as run:
        await run.journal.append(question())
        await run.journal.append(steps("r", "a", "b"))


async def test_a_run_that_was_closed_goes_on_with_all_that_it_has(folder: RunFolder) -> None:
    assert not folder.has_run
    await write_one(folder)
    assert folder.has_run
    async with folder.resume(manifest()) as run:
        assert run.cut == 0
        assert run.manifest == manifest()
        assert list(run.paid) == [0]
        paid = run.paid.question(0)
        assert paid is not None
        assert paid.root == question()
        assert paid.steps("r", 0, 2) == [steps("r", "a", "b")]
        await run.journal.append(steps("r", "c", first=2))
    assert JournalFile(folder.journal)[0] == [question(), steps("r", "a", "b"), steps("r", "c", first=2)]
    assert sorted(each.name for each in folder.path.iterdir()) == ["journal.jsonl", "manifest.json"]
    assert json.loads(folder.manifest.read_bytes()) == manifest().as_json()


async def test_resume_begins_where_there_is_no_run(folder: RunFolder) -> None:
    async with folder.resume(manifest()) as run:
        assert len(run.paid) == 0
    async with folder.resume(manifest()):
        pass
    assert [run.manifest for run in JournalFile(folder.journal).runs] == [manifest().as_json()] * 2


async def test_a_second_run_in_the_same_folder_is_refused(folder: RunFolder) -> None:
    await write_one(folder)
    before = folder.journal.read_bytes()
    with pytest.raises(JournalError, match="holds a run already: resume it"):
        folder.begin(manifest())
    assert folder.journal.read_bytes() == before
    async with folder.resume(manifest()):  # the lock was given back
        pass


async def test_a_run_of_something_else_is_refused_and_the_difference_named(folder: RunFolder) -> None:
    await write_one(folder)
    other = manifest(method={"name": "rebase", "width": 8}, policy=ServerRecord(model="n", sglang="0.5.23"))
    before = folder.journal.read_bytes()
    with pytest.raises(ConfigurationError, match=r"method.width was 4, is 8; policy.model was 'm', is 'n'\. Resume it"):
        folder.resume(other)
    assert folder.journal.read_bytes() == before
    async with folder.resume(other, allow={"method.width", "policy.model"}) as run:
        assert run.manifest == manifest()


async def test_another_machine_server_version_or_limit_may_go_on_and_is_noted(folder: RunFolder) -> None:
    await write_one(folder)
    moved = manifest(limits={"seconds": 60}, policy=ServerRecord(model="m", sglang="0.5.23"))
    async with folder.resume(moved):
        pass
    assert [run.manifest for run in JournalFile(folder.journal).runs] == [manifest().as_json(), moved.as_json()]


async def test_one_writes_at_a_time(folder: RunFolder) -> None:
    async with folder.begin(manifest()):
        for again in (folder.begin, folder.resume):
            with pytest.raises(JournalLockedError, match="open already"):
                again(manifest())


TWO = """
import asyncio, sys
from ets_client.search.journal import JournalLockedError, RunFolder
from tests.search.journal.lines import manifest

async def main():
    try:
        async with RunFolder(sys.argv[1]).resume(manifest()):
            print("writes", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
    except JournalLockedError as error:
        print("refused", error, flush=True)

asyncio.run(main())
"""


def test_of_two_processes_one_writes_and_the_other_is_told_which(folder: RunFolder) -> None:
    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", TWO, str(folder.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    with start() as one, start() as two:
        assert one.stdout is not None
        assert two.stdout is not None
        said = {one.pid: one.stdout.readline(), two.pid: two.stdout.readline()}
        writer = next(pid for pid, words in said.items() if words == "writes\n")
        (refused,) = (words for pid, words in said.items() if pid != writer)
        assert refused.startswith(f"refused process {writer} on ")
        for process in (one, two):
            process.communicate("\n", timeout=20)
    with start() as three:
        assert three.communicate("\n", timeout=20)[0] == "writes\n"


async def test_a_torn_tail_is_cut_off(folder: RunFolder) -> None:
    await write_one(folder)
    whole = folder.journal.read_bytes()
    with folder.journal.open("ab") as file:
        file.write(encode_line(steps("r", "c", first=2))[:-7])
    async with folder.resume(manifest()) as run:
        assert run.cut == 1
        assert folder.journal.read_bytes() == whole + encode_line(RunEntry(1, manifest().as_json()))


async def test_a_damaged_line_in_the_middle_is_an_error_unless_the_cut_is_asked_for(folder: RunFolder) -> None:
    await write_one(folder)
    lines = folder.journal.read_bytes().splitlines(keepends=True)
    folder.journal.write_bytes(lines[0] + b"x" + lines[1] + lines[2])
    with pytest.raises(
        JournalDamagedError, match=r"line 2 is damaged although good lines follow it.*and the 1 lines"
    ) as told:
        folder.resume(manifest())
    assert told.value.line == 2
    async with folder.resume(manifest(), cut=True) as run:
        assert run.cut == 2
        assert len(run.paid) == 0
    assert (folder.path / f"journal.cut-at-{len(lines[0])}").read_bytes() == b"x" + lines[1] + lines[2]
    assert JournalFile(folder.journal).index.damaged is None


@pytest.mark.parametrize("left", [b"", b'12345678 {"kind":"run"'])
async def test_a_run_whose_first_line_was_torn_begins_again(folder: RunFolder, left: bytes) -> None:
    folder.path.mkdir(parents=True)
    folder.journal.write_bytes(left)
    async with folder.resume(manifest()) as run:
        assert run.cut == bool(left)
    assert len(JournalFile(folder.journal).runs) == 1


async def test_a_damaged_first_line_with_good_ones_behind_it_is_kept_aside(folder: RunFolder) -> None:
    await write_one(folder)
    damaged = b"x" + folder.journal.read_bytes()
    folder.journal.write_bytes(damaged)
    async with folder.resume(manifest(), cut=True) as run:
        assert run.cut == 3
    assert (folder.path / "journal.cut-at-0").read_bytes() == damaged


async def test_lines_without_a_run_are_not_ours_to_remove(folder: RunFolder) -> None:
    folder.path.mkdir(parents=True)
    folder.journal.write_bytes(encode_line(question()))
    with pytest.raises(JournalError, match="does not tell what ran"):
        folder.resume(manifest())
    assert folder.journal.read_bytes() == encode_line(question())


@pytest.mark.parametrize(
    ("first", "says"),
    [
        (RunEntry(99, {}), "written by a newer version of ets-client"),
        (RunEntry(1, {"method": 3}), "none of this version's"),
    ],
)
def test_a_journal_of_another_version_is_refused(folder: RunFolder, first: RunEntry, says: str) -> None:
    folder.path.mkdir(parents=True)
    folder.journal.write_bytes(encode_line(first))
    with pytest.raises(JournalError, match=says):
        folder.resume(manifest())


UNPRIVILEGED = """
import os, sys, tempfile
from ets_client.search.journal import JournalWriteError, RunFolder
from tests.search.journal.lines import manifest
with tempfile.TemporaryDirectory() as writable:  # imports all that is needed: root's Python may be closed to others
    RunFolder(writable).begin(manifest()).journal.shut().result(10)
if os.getuid() == 0:
    os.setuid(65534)
try:
    RunFolder(sys.argv[1]).resume(manifest())
except JournalWriteError as error:
    print(error)
"""


@pytest.mark.parametrize("name", ["here", "here/below"])
def test_a_folder_that_may_not_be_written_is_told_with_advice(name: str) -> None:
    with tempfile.TemporaryDirectory() as made:  # pytest's own folders are closed to other users
        Path(made).chmod(0o755)
        (Path(made) / "here").mkdir(mode=0o555)
        path = Path(made) / name
        done = subprocess.run(
            [sys.executable, "-c", UNPRIVILEGED, str(path)], capture_output=True, text=True, check=True
        )
    assert "Permission denied; you may not write there: change its permissions, or choose another folder" in done.stdout


async def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("no folder")
    with pytest.raises(JournalWriteError, match="cannot make the folder"):
        RunFolder(tmp_path / "run").begin(manifest())


async def test_a_cancelled_close_gives_the_folder_back(folder: RunFolder) -> None:
    run = folder.begin(manifest())
    closing = asyncio.ensure_future(run.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await run.close()
    assert not (folder.path / "journal.lock").exists()
    assert MACHINE.began in folder.manifest.read_text()


def test_rules_are_part_of_what_must_be_the_same(folder: RunFolder) -> None:
    folder.begin(manifest()).journal.shut().result(10)
    with pytest.raises(ConfigurationError, match=r"rules\.max_path_tokens was 100, is 7"):
        folder.resume(manifest(rules=TreeRules(max_path_tokens=7, answer=r"answer is (\d+)")))
