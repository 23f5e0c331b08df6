"""Where the tool keeps things: state and logs per machine and job, engines and models per user."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import filelock
import platformdirs
from ets_client.endpoint import Endpoint
from ets_client.errors import ConfigurationError
from pydantic import ValidationError

from .errors import ServerToolError
from .records import ServerRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = [
    "ServerFolder",
    "all_folders",
    "engines_dir",
    "lock",
    "machine_dir",
    "models_dir",
    "remove_tree",
    "state_dir",
    "write_private",
]

_APPLICATION = "ets-server"


def engines_dir() -> Path:
    """Folder of the engine environments."""
    return platformdirs.user_cache_path(_APPLICATION) / "engines"


def models_dir() -> Path:
    """Folder of the model folders that the tool made."""
    return platformdirs.user_cache_path(_APPLICATION) / "models"


def state_dir() -> Path:
    """Folder of all state. Home folders are shared between machines, so each machine and job has its own inside."""
    return platformdirs.user_state_path(_APPLICATION)


def machine_dir(key: str) -> Path:
    """State of one machine, or of one job on it."""
    return state_dir() / key


@contextmanager
def lock(path: Path, holder_is: str, *, wait: bool, say: Callable[[str, str], None] | None = None) -> Generator[None]:
    """Hold a lock file.

    Args:
        path: the file.
        holder_is: what a holder does, for the message.
        wait: whether to wait for it or to give up at once.
        say: told when we have to wait.

    Raises:
        ServerToolError: somebody else holds it and we are not to wait.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    held = filelock.FileLock(path)
    try:
        held.acquire(timeout=0)
    except filelock.Timeout:
        if not wait:
            raise ServerToolError(f"another ets-server is {holder_is}; wait for it to finish") from None
        if say is not None:
            say(f"waiting for another ets-server that is {holder_is}", "")
        held.acquire()
    try:
        yield
    finally:
        held.release()


def write_private(path: Path, text: str) -> None:
    """Write a file atomically, readable by its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp's mode is 0600
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    Path(temporary).replace(path)


class ServerFolder:
    """The folder of one server's record, log and private files.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record_file = path / "record.json"
        self.endpoint_file = path / "endpoint.json"
        self.log_file = path / "server.log"
        self.config_file = path / "sglang.yaml"
        self.lock_file = path.parent / f".{path.name}.lock"

    def __repr__(self) -> str:
        return f"ServerFolder({str(self.path)!r})"

    def create(self) -> None:
        """Make the folder, for its owner alone: the log and the configuration can hold the API key."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path.chmod(0o700)

    def read(self) -> ServerRecord | None:
        """The record, or None when there is none that can be read."""
        try:
            return ServerRecord.model_validate_json(self.record_file.read_bytes())
        except (OSError, ValidationError):
            return None

    def write(self, record: ServerRecord) -> None:
        """Remember a server."""
        write_private(self.record_file, record.model_dump_json(indent=1) + "\n")

    def forget(self, record: ServerRecord) -> None:
        """Remove the record, the key and the endpoint files of a server that is gone; the log stays.

        An endpoint file that another start has written since is left alone.
        """
        for file in (Path(name) for name in record.endpoint_files):
            try:
                endpoint = Endpoint.read(file)
            except ConfigurationError:
                continue
            if endpoint.start_id == record.start_id:
                file.unlink(missing_ok=True)
        self.config_file.unlink(missing_ok=True)
        self.record_file.unlink(missing_ok=True)


def all_folders(key: str | None = None) -> list[ServerFolder]:
    """The folders of all servers that are remembered.

    Args:
        key: only those of this machine and job; None for all that share this home folder.
    """
    root = state_dir()
    pattern = "*/*/record.json" if key is None else f"{key}/*/record.json"
    return [ServerFolder(path.parent) for path in sorted(root.glob(pattern))]


def remove_tree(path: Path) -> None:
    """Remove a folder that may be missing or half written."""
    shutil.rmtree(path, ignore_errors=True)
