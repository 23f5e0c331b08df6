from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from ets_client.search.journal import JournalLockedError, JournalWriteError
from ets_client.search.journal.lock import JournalLock, Owner


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.lock"


def left_by(path: Path, **fields: object) -> None:
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(Owner.me(), **fields)))


def gone() -> int:
    """The id of a process that was."""
    return int(
        subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True).stdout
    )


def test_one_has_it_until_it_is_released(path: Path) -> None:
    lock = JournalLock(path)
    with pytest.raises(JournalLockedError, match=f"this process has {path.parent} open already"):
        JournalLock(path)
    lock.release()
    assert list(path.parent.iterdir()) == []
    JournalLock(path).release()


def test_a_link_that_was_made_though_nfs_says_that_it_is_there_already_is_ours(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = Path.hardlink_to

    def link_twice(self: Path, target: Path) -> None:
        link(self, target)
        link(self, target)

    monkeypatch.setattr(Path, "hardlink_to", link_twice)
    lock = JournalLock(path)
    with pytest.raises(JournalLockedError):
        JournalLock(path)
    lock.release()
    assert list(path.parent.iterdir()) == []


def test_the_file_of_a_process_that_is_gone_is_taken_over(path: Path) -> None:
    left_by(path, pid=gone())
    JournalLock(path)
    assert json.loads(path.read_bytes())["pid"] == os.getpid()


def test_a_pid_that_another_process_has_by_now_is_of_one_that_is_gone(path: Path) -> None:
    left_by(path, pid=os.getppid(), began=1)
    JournalLock(path)


@pytest.mark.parametrize("machine", ["its own", ""])
def test_before_a_boot_all_processes_are_gone_if_it_is_the_same_machine(
    path: Path, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = msgspec.structs.replace(Owner.me(), machine=machine)
    monkeypatch.setattr(Owner, "me", lambda: me)
    left_by(path, boot="another", pid=1)
    if machine:
        JournalLock(path)
    else:
        with pytest.raises(JournalLockedError, match="writes into"):
            JournalLock(path)


@pytest.mark.parametrize(
    "fields", [{"host": "node17", "boot": "its own"}, {"machine": "another"}, {"pids": "pid:[1]", "began": 1}]
)
def test_of_another_host_or_container_nobody_knows_and_the_file_to_delete_is_named(
    path: Path, fields: dict[str, object]
) -> None:
    left_by(path, pid=gone(), **fields)
    with pytest.raises(JournalLockedError, match=f"When it is gone, delete {path}"):
        JournalLock(path)


def test_a_process_that_lives_keeps_it(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        stat = Path(f"/proc/{other.pid}/stat").read_text().rpartition(")")[2].split()
        left_by(path, pid=other.pid, began=int(stat[19]))
        with pytest.raises(JournalLockedError, match=f"process {other.pid} on .* writes into"):
            JournalLock(path)
        other.kill()
        other.wait()
        JournalLock(path)


def test_a_process_that_is_dead_and_not_reaped_is_gone(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as other:
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        stat = Path(f"/proc/{other.pid}/stat").read_text().rpartition(")")[2].split()
        left_by(path, pid=other.pid, began=int(stat[19]))
        JournalLock(path)


@pytest.mark.parametrize(("error", "lives"), [(ProcessLookupError, False), (PermissionError, True)])
def test_a_process_that_proc_hides_lives_when_it_can_be_signalled(
    path: Path, error: type[OSError], lives: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_by(path, pid=2**22 + 1)  # above all that there can be

    def kill(pid: int, number: int) -> None:
        assert number == 0
        raise error

    monkeypatch.setattr(os, "kill", kill)
    if lives:
        with pytest.raises(JournalLockedError, match="writes into"):
            JournalLock(path)
    else:
        JournalLock(path)


@pytest.mark.parametrize("content", [b"", b"{}", b"mine"])
def test_a_file_that_does_not_say_whose_it_is_stays(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(JournalLockedError, match="does not say whose it is"):
        JournalLock(path)
    assert path.read_bytes() == content


def test_a_lock_that_someone_else_has_by_now_is_not_released(path: Path) -> None:
    lock = JournalLock(path)
    path.unlink()
    left_by(path, host="node17")
    lock.release()
    assert path.exists()


@pytest.mark.parametrize("links", [True, False])
def test_of_many_at_once_one_takes_over(path: Path, links: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not links:
        monkeypatch.setattr(
            Path, "hardlink_to", lambda self, target: (_ for _ in ()).throw(OSError(errno.EPERM, "no links"))
        )
    left_by(path, pid=gone())

    def take(_: int) -> bool:
        try:
            JournalLock(path)
        except JournalLockedError:
            return False
        return True

    with ThreadPoolExecutor(16) as threads:
        assert sum(threads.map(take, range(64))) == 1
    assert list(path.parent.iterdir()) == [path]


def test_where_no_file_can_be_made_the_error_says_what_to_do(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **fields: object) -> tuple[int, str]:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(JournalWriteError, match="Permission denied; you may not write there: change its permissions"):
        JournalLock(path)


def test_a_stale_file_that_cannot_be_removed_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left_by(path, pid=gone())

    def refuse(*args: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))  # Lustre without -o flock

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(JournalLockedError, match=f"{path} is of a process that is gone, but cannot be removed"):
        JournalLock(path)
