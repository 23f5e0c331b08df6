"""What a user asked for when starting a server, as plain data."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .enginespec import check_version
from .errors import ServerToolError, UsageError

__all__ = ["LaunchOptions", "Role", "check_name", "is_loopback", "local_host"]

Role = Literal["policy", "reward"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_OWN_FLAGS = {  # SGLang's flag -> ours
    "--model-path": "--model",
    "--model": "--model",
    "--host": "--host",
    "--port": "--port",
    "--api-key": "--api-key-file",
    "--admin-api-key": "--api-key-file",
    "--config": "SGLang's flags themselves",
    "--tp-size": "--tp",
    "--tp": "--tp",
    "--tensor-parallel-size": "--tp",
    "--dp-size": "--dp",
    "--dp": "--dp",
    "--data-parallel-size": "--dp",
    "--mem-fraction-static": "--mem-fraction-static",
}


@dataclass(frozen=True, slots=True)
class LaunchOptions:
    """The options of ``up``, ``run``, ``command`` and ``preflight``.

    Attributes:
        name: of the server; None means the role.
        profile: name or file of a profile.
        model: folder, or ``owner/name[@revision]`` on the hub; replaces the profile's.
        role: what the server is for.
        tp: tensor parallel size.
        dp: data parallel size.
        gpus: positions among the visible GPUs, ``"0,1"``.
        share_gpu: whether a GPU that is in use may be taken.
        port: a number, or "auto" for the first free one.
        host: address to listen on.
        api_key_file: file that holds the server's key.
        mem_fraction_static: SGLang's share of GPU memory for weights and KV cache.
        endpoint_file: where to write the endpoint, besides the state folder.
        sglang: version of the SGLang that the tool installs; None means the default.
        python: a Python that has SGLang installed.
        launcher: a command that starts SGLang's server; its flags are added to it.
        ready_timeout: seconds to wait for the first token.
        extra: flags passed to SGLang as they are.
    """

    name: str | None = None
    profile: str | None = None
    model: str | None = None
    role: Role = "policy"
    tp: int | None = None
    dp: int = 1
    gpus: str | None = None
    share_gpu: bool = False
    port: str = "auto"
    host: str = "127.0.0.1"
    api_key_file: Path | None = None
    mem_fraction_static: float | None = None
    endpoint_file: Path | None = None
    sglang: str | None = None
    python: Path | None = None
    launcher: str | None = None
    ready_timeout: float = 900.0
    extra: tuple[str, ...] = ()

    @property
    def server_name(self) -> str:
        """The name, or the role where none was given."""
        return self.name or self.role

    @property
    def fixed_port(self) -> int | None:
        """The port asked for, or None for any that is free."""
        return None if self.port == "auto" else int(self.port)

    def check(self) -> None:
        """Refuse what is wrong in itself, whatever the machine.

        Raises:
            ServerToolError: says which option, its value, and what to do.
        """
        check_name(self.server_name)
        if self.python is not None and self.launcher is not None:
            raise UsageError("--python and --launcher both say what starts SGLang; give one of them")
        if self.sglang is not None:
            if self.python is not None or self.launcher is not None:
                own = "--python" if self.python is not None else "--launcher"
                raise UsageError(
                    f"--sglang says what ets-server installs, and {own} brings an SGLang; give one of them"
                )
            check_version(self.sglang)
        if self.launcher is not None and not self.launcher.strip():
            raise ServerToolError("--launcher is empty; give the command that starts SGLang's server")
        if self.port != "auto" and not (self.port.isdecimal() and 1 <= int(self.port) <= 65535):
            raise ServerToolError(f"--port {self.port!r} is neither a number from 1 to 65535 nor auto")
        for option, size in (("--tp", self.tp), ("--dp", self.dp)):
            if size is not None and size < 1:
                raise ServerToolError(f"{option} {size} is not possible: it must be at least 1")
        if self.mem_fraction_static is not None and not 0 < self.mem_fraction_static < 1:
            raise ServerToolError(f"--mem-fraction-static {self.mem_fraction_static} is not between 0 and 1")
        if self.ready_timeout <= 0:
            raise ServerToolError(f"--ready-timeout {self.ready_timeout:g} is not a positive number of seconds")
        if not is_loopback(self.host) and self.api_key_file is None:
            raise ServerToolError(
                f"--host {self.host} lets other machines in, and there is no key; add --api-key-file FILE, "
                "or leave the host at 127.0.0.1"
            )
        for argument in self.extra:
            if (flag := argument.partition("=")[0].replace("_", "-")) in _OWN_FLAGS:
                raise ServerToolError(f"{flag} after -- is ets-server's own business; use {_OWN_FLAGS[flag]} instead")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def local_host(host: str) -> str:
    """The address under which this machine itself reaches a server that listens on ``host``."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - looked up, not bound


def check_name(name: str) -> None:
    """Refuse a server name that is no good as a folder's name.

    Raises:
        ServerToolError: it is not letters, digits, dots, dashes and underscores.
    """
    if not _NAME.fullmatch(name):
        raise ServerToolError(
            f"{name!r} cannot name a server: use up to 64 letters, digits, '.', '-' and '_', a letter or digit first"
        )
