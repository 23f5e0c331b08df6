"""Processes: start one in a session of its own, recognise it later, and end its group and nothing else."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import psutil

from .errors import ServerToolError
from .records import ProcessIdentity, is_same_process

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["die_with_parent", "identify", "is_alive", "spawn", "stop_group"]

_POLL_SECONDS = 0.1
_KILLED_SECONDS = 30.0  # freeing a GPU's memory takes seconds
_PR_SET_PDEATHSIG = 1


def spawn(
    argv: Sequence[str], environment: Mapping[str, str], log_file: Path, *, die_with_starter: bool = False
) -> subprocess.Popen[bytes]:
    """Start a server as the leader of a new session, so that the terminal's Ctrl-C does not reach it.

    Args:
        argv: the command line.
        environment: the whole environment.
        log_file: gets its output; only the owner can read it.
        die_with_starter: whether the kernel kills it when this process ends without having stopped it.

    Raises:
        OSError: the program cannot be started.
    """
    log_file.unlink(missing_ok=True)
    handle = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_EXCL, 0o600)
    try:
        return subprocess.Popen(
            argv,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_ask_to_die if die_with_starter else None,
        )
    finally:
        os.close(handle)


def die_with_parent() -> None:
    """Ask the kernel to send this process SIGTERM when its parent ends (Linux)."""
    parent = os.getppid()
    _set_death_signal(signal.SIGTERM)
    if os.getppid() != parent:  # it ended before the kernel knew
        os.kill(os.getpid(), signal.SIGTERM)


def identify(pid: int) -> ProcessIdentity | None:
    """The identity of the process with that id, or None when there is none that still runs."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return ProcessIdentity(pid, process.create_time())
    except psutil.NoSuchProcess:
        return None


def is_alive(remembered: ProcessIdentity) -> bool:
    """Whether exactly that process still runs."""
    seen = identify(remembered.pid)
    return seen is not None and is_same_process(remembered, seen)


def stop_group(leader: ProcessIdentity, grace_seconds: float) -> bool:
    """End a server: SIGTERM to its leader, a bounded wait, then SIGKILL to what is left of its session.

    Args:
        leader: the process that :func:`spawn` started.
        grace_seconds: how long it may take to end by itself; 0 kills at once.

    Returns:
        Whether anything of it was running.

    Raises:
        ServerToolError: some of it was killed and does not end; what is remembered of it is to be kept.
    """
    members = _members(leader)
    if not members:
        return False
    if grace_seconds > 0 and is_alive(leader):
        _signal(leader, signal.SIGTERM)
        deadline = time.monotonic() + grace_seconds
        while time.monotonic() < deadline and is_alive(leader):
            time.sleep(_POLL_SECONDS)
    for member in _members(leader):
        _signal(member, signal.SIGKILL)
    deadline = time.monotonic() + _KILLED_SECONDS
    while left := [member.pid for member in members if is_alive(member)]:
        if time.monotonic() > deadline:
            raise ServerToolError(
                f"killed, but still there: {', '.join(map(str, left))}. A disk, the network or a GPU's driver holds "
                "what is in state D (`ps -o pid,stat,wchan`): mend that, then run the command again"
            )
        time.sleep(_POLL_SECONDS)
    return True


def _members(leader: ProcessIdentity) -> list[ProcessIdentity]:
    """The leader's session and its descendants, itself included.

    While any member lives the kernel gives the session's id to no other process, so members are found even after their
    leader died. But when a stranger holds that id the session is the stranger's.
    """
    seen = identify(leader.pid)
    if seen is not None and not is_same_process(leader, seen):
        return []
    found: dict[int, ProcessIdentity] = {}
    for process in psutil.process_iter():
        identity = identify(process.pid)
        if identity is None or identity.created < leader.created - 1.0:
            continue
        try:
            if os.getsid(process.pid) == leader.pid:
                found[process.pid] = identity
        except (ProcessLookupError, PermissionError):
            continue
    if seen is not None:
        try:
            children = psutil.Process(leader.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            children = []
        for child in children:
            if identity := identify(child.pid):
                found[child.pid] = identity
    return list(found.values())


def _signal(process: ProcessIdentity, number: signal.Signals) -> None:
    if is_alive(process):
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            return


def _ask_to_die() -> None:
    _set_death_signal(signal.SIGKILL)  # nobody would be left to insist when SIGTERM does not do


def _set_death_signal(number: signal.Signals) -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)


_LIBC = ctypes.CDLL(None, use_errno=True)  # loaded here: between fork and exec nothing may be loaded
