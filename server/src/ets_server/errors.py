"""Errors of the tool. Each is one line for its user: what was wrong, with which value, and what to do."""

from __future__ import annotations

__all__ = ["InterruptedStartError", "ServerToolError", "StartError", "UsageError"]


class ServerToolError(Exception):
    """Something the user can mend; the command ends with :attr:`exit_code`."""

    exit_code = 1


class UsageError(ServerToolError):
    """Options that exclude each other, as Typer reports a wrong option."""

    exit_code = 2


class StartError(ServerToolError):
    """A server did not become ready; nothing of it is left running.

    Attributes:
        log_lines: the last lines of its log.
    """

    def __init__(self, message: str, log_lines: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.log_lines = log_lines


class InterruptedStartError(ServerToolError):
    """The user interrupted a start; nothing of it is left running."""

    exit_code = 130


class PortTakenError(StartError):
    """Another program listens where the server was to listen."""
