"""Tables on standard output: drawn for a terminal, plain lines for a pipe."""

from __future__ import annotations

from collections.abc import Sequence

from ets_client.profiles import Profile
from rich.console import Console
from rich.table import Table

from ..control import ServerStatus

__all__ = ["print_profiles", "print_servers"]


def print_servers(servers: Sequence[ServerStatus]) -> None:
    """Print one line per server."""
    if not servers:
        Console().print("no server was started here; `ets-server up` starts one", markup=False, highlight=False)
        return
    rows = [
        (
            server.name,
            server.state,
            server.role,
            server.profile or "-",
            f"{server.address}:{server.port}",
            server.host if server.job is None else f"{server.host} (job {server.job})",
            server.engine,
            str(server.pid),
            f"{server.up_seconds:.0f} s" if server.state not in {"gone", "elsewhere"} else "-",
        )
        for server in servers
    ]
    _print(("NAME", "STATE", "ROLE", "PROFILE", "ADDRESS", "HOST", "ENGINE", "PID", "UP"), rows)


def print_profiles(profiles: Sequence[Profile], own_folder: str) -> None:
    """Print one line per profile, and where the user's own go."""
    rows = [
        (profile.name, "yes" if profile.reward is not None else "-", _model(profile), profile.summary)
        for profile in profiles
    ]
    _print(("NAME", "REWARD", "MODEL", "SUMMARY"), rows)
    Console().print(f"your own go into {own_folder}", markup=False, highlight=False, soft_wrap=True)


def _model(profile: Profile) -> str:
    if profile.model is None:
        return "-"
    source = profile.model.source
    match source.kind:
        case "hub":
            return source.id
        case "path":
            return source.path
        case "gguf_package":
            return source.requirement
        case "random":
            return "random weights"


def _print(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    console = Console()
    if console.is_terminal:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for name in header:
            table.add_column(name, overflow="fold")
        for row in rows:
            table.add_row(*row)
        console.print(table)
        return
    widths = [max(len(line[column]) for line in (header, *rows)) for column in range(len(header))]
    for line in (header, *rows):
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        console.print(text, markup=False, highlight=False, soft_wrap=True)
