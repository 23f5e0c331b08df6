"""One writer a journal, on NFS and Lustre too: a file beside it that only one can make."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import tempfile
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from .appended import advice
from .errors import JournalLockedError, JournalWriteError

if TYPE_CHECKING:
    from typing import Self

__all__ = ["JournalLock", "Owner"]

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}  # of file systems that know no hard links


class Owner(msgspec.Struct, frozen=True):
    """Whose lock it is.

    Attributes:
        host: its name.
        machine: its id; "" where there is none.
        pid: process id there.
        began: when the process began, in clock ticks since the host's boot: a pid is given again, this is not.
        boot: which boot of the host.
        pids: which namespace of pids: containers of one host may share its name.
        since: when it was locked, in UTC.
        token: different for each lock.
    """

    host: str
    machine: str
    pid: int
    began: int
    boot: str
    pids: str
    since: str
    token: str

    @classmethod
    def me(cls) -> Self:
        """This process."""
        pid, now = os.getpid(), datetime.now(UTC).isoformat(timespec="seconds")
        boot, namespace = _line("/proc/sys/kernel/random/boot_id"), str(Path("/proc/self/ns/pid").readlink())
        machine = _line("/etc/machine-id")
        return cls(socket.gethostname(), machine, pid, _began(pid), boot, namespace, now, uuid.uuid4().hex)

    def is_gone(self) -> bool:
        """Whether it ran here and does not any more. Of other hosts and containers nobody knows."""
        me = Owner.me()
        if (self.host, self.machine) != (me.host, me.machine):
            return False
        if self.boot != me.boot:
            return bool(me.machine)  # without an id it may be another machine of that name
        return self.pids == me.pids and _is_gone(self.pid, self.began)


def _is_gone(pid: int, began: int) -> bool:
    try:
        return _began(pid) != began
    except OSError:  # it is gone, or another user's on a machine that hides those (mount option hidepid)
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _began(pid: int) -> int:
    """When a process began; 0 for one that is dead and not reaped."""
    stat = Path(f"/proc/{pid}/stat").read_bytes()
    state, *fields = stat[stat.rindex(b")") + 2 :].split()  # a process's name may hold spaces and brackets
    return 0 if state in b"ZX" else int(fields[18])  # proc(5): field 22 is starttime


def _line(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return ""


class JournalLock:
    """Held from making it until :meth:`release`.

    It comes into being whole, by a hard link, which is atomic on NFS, where ``flock`` may be missing or local. The file
    of a process of this host that is gone is taken over.

    Args:
        path: the lock file.

    Raises:
        JournalLockedError: someone has it; the message says who, and what to do when that is no longer so.
        JournalWriteError: the file cannot be created.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._content = msgspec.json.encode(Owner.me())
        try:
            while not self._create():
                self._remove_what_is_left()
        except OSError as error:
            raise JournalWriteError(f"cannot create the lock {path}: {advice(error)}") from error

    def release(self) -> None:
        """Let others have it. A file that is no longer ours stays."""
        with suppress(OSError):
            if self.path.read_bytes() == self._content:
                self.path.unlink()

    def _create(self) -> bool:
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        whole = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                os.fchmod(file.fileno(), 0o644)  # others want to read whose it is
                file.write(self._content)
            self.path.hardlink_to(whole)
        except FileExistsError:
            # On NFS the answer may have been lost and the call repeated, so that it met its own link (open(2), O_EXCL).
            return whole.stat().st_nlink == 2
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return self._create_where_there_are_no_links()
        finally:
            whole.unlink()
        return True

    def _create_where_there_are_no_links(self) -> bool:
        try:
            with self.path.open("xb") as file:
                file.write(self._content)
        except FileExistsError:
            return False
        return True

    def _remove_what_is_left(self) -> None:
        """Remove the file of a process that is gone.

        Of several that want to, one removes the file that it has read: it holds that file's ``flock``, and the name
        still stands for that file. All of them are on one host, so that a local ``flock`` will do.
        """
        try:
            owner = self._owner(self.path.read_bytes())
            if not owner.is_gone():
                raise self._refusal(owner)
            with self.path.open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if os.path.samestat(os.fstat(file.fileno()), self.path.stat()) and self._owner(file.read()) == owner:
                    self.path.unlink()
        except FileNotFoundError:
            return  # it is free by now
        except OSError as error:
            raise JournalLockedError(
                f"{self.path} is of a process that is gone, but cannot be removed ({error.strerror}): delete it"
            ) from error

    def _owner(self, content: bytes) -> Owner:
        try:
            return msgspec.json.decode(content, type=Owner)
        except msgspec.DecodeError:
            raise JournalLockedError(
                f"{self.path} does not say whose it is: when nothing writes into this folder, delete that file"
            ) from None

    def _refusal(self, owner: Owner) -> JournalLockedError:
        if (owner.pid, owner.host) == (os.getpid(), socket.gethostname()):
            return JournalLockedError(f"this process has {self.path.parent} open already: close that first")
        return JournalLockedError(
            f"process {owner.pid} on {owner.host} writes into {self.path.parent} since {owner.since}. When it is gone, "
            f"delete {self.path}"
        )
