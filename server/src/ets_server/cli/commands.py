"""The commands. Heavy imports are inside them, so that ``--help`` and ``status`` are quick."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

import typer

from ..errors import ServerToolError
from ..options import LaunchOptions, check_name
from .launch_options import SGLANG_OPTION, launch_command

__all__ = ["COMMANDS"]

_StopSeconds = Annotated[
    float, typer.Option("--stop-timeout", metavar="SECONDS", help="How long it may take to end before it is killed.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
_STOP_SECONDS = 10.0


@launch_command
def up(options: LaunchOptions, as_json: _Json = False) -> None:
    """Start a server in the background and wait for its first token. SGLang's own flags go after --."""
    from ..progress import show_progress
    from ..start import start_server
    from ..survey import survey

    with show_progress() as progress:
        server = start_server(survey(options), progress)
        seconds = progress.elapsed
    if as_json:
        shown = server.endpoint.model_dump(mode="json", exclude={"api_key"})
        typer.echo(json.dumps({**shown, "name": server.record.name, "endpoint_files": server.record.endpoint_files}))
        return
    typer.echo(f"{server.record.name} is ready at {server.endpoint.base_url} ({seconds:.0f} s)")
    typer.echo(f"endpoint file: {server.record.endpoint_files[-1]}")


@launch_command
def run(
    options: LaunchOptions,
    stop_seconds: _StopSeconds = _STOP_SECONDS,
    stop_with_parent: Annotated[
        bool, typer.Option("--stop-with-parent", help="Stop, too, when the process that started this one ends.")
    ] = False,
) -> None:
    """Start a server in the foreground. For Slurm, systemd and containers; SGLang's own flags go after --."""
    from ..foreground import run_server
    from ..progress import show_progress
    from ..survey import survey

    with show_progress(live=False) as progress:
        status = run_server(survey(options), progress, stop_seconds=stop_seconds, stop_with_parent=stop_with_parent)
    raise typer.Exit(status)


@launch_command
def command(options: LaunchOptions) -> None:
    """Print what `up` would run, and run nothing. The environment and the command line, for a shell."""
    from ..survey import plan_launch, survey

    launch = survey(options)
    plan, note = plan_launch(launch)
    for line in filter(None, (*launch.notes, note)):
        typer.echo(line, err=True)
    typer.echo(plan.shell_text())


@launch_command
def preflight(options: LaunchOptions) -> None:
    """Check what a start needs, without starting. One line per finding, with the mend."""
    from ..findings import findings_of
    from ..inspection import inspect_machine

    findings = findings_of(inspect_machine(options))
    for finding in findings:
        typer.echo(str(finding))
    if any(finding.level == "fail" for finding in findings):
        raise typer.Exit(1)


def down(
    name: Annotated[str | None, typer.Argument(metavar="NAME", show_default=False, help="Which server.")] = None,
    stop_seconds: _StopSeconds = _STOP_SECONDS,
    everything: Annotated[bool, typer.Option("--all", help="Every server of this machine and job.")] = False,
) -> None:
    """Stop a server. SIGTERM, a bounded wait, then SIGKILL to its processes alone."""
    from ..control import stop_all, stop_server
    from ..facts import read_identity

    if everything == (name is not None):
        raise typer.BadParameter("give the NAME of a server, or --all")
    machine = read_identity()
    if name is not None:
        check_name(name)
        typer.echo(stop_server(name, machine, stop_seconds))
        return
    for line in stop_all(machine, stop_seconds) or ["nothing runs here"]:
        typer.echo(line)


def status(as_json: _Json = False) -> None:
    """Show the servers that were started."""
    from ..control import list_servers
    from ..facts import read_identity
    from .tables import print_servers

    servers = list_servers(read_identity())
    if as_json:
        typer.echo(json.dumps([server.as_dict() for server in servers], indent=1))
    else:
        print_servers(servers)


def logs(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which server.")],
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines; 0 for all.")] = 0,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on while the server runs.")] = False,
) -> None:
    """Print a server's log, API keys removed. The log of a server that is down stays until its next start."""
    import contextlib
    import sys
    import time

    from ..control import find_folder
    from ..facts import read_identity
    from ..log_follower import LogFollower
    from ..processes import is_alive

    check_name(name)
    folder = find_folder(name, read_identity())
    if not folder.log_file.is_file():
        raise ServerToolError(f"{name!r} has no log yet at {folder.log_file}")
    log = LogFollower(folder.log_file)
    log.read()
    shown = log.text.splitlines(keepends=True)[-lines:] if lines else [log.text]
    sys.stdout.write("".join(shown))
    sys.stdout.flush()
    log.echo = sys.stdout.write
    with contextlib.suppress(KeyboardInterrupt):
        while follow and (record := folder.read()) is not None and is_alive(record.process):
            time.sleep(0.3)
            log.read(remember=False)
            sys.stdout.flush()


def profiles(as_json: _Json = False) -> None:
    """List the model profiles."""
    from ets_client.profiles import list_profiles, user_profiles_dir

    from .tables import print_profiles

    found = list_profiles()
    if as_json:
        typer.echo(json.dumps([profile.model_dump(mode="json") for profile in found], indent=1))
    else:
        print_profiles(found, str(user_profiles_dir()))


def fetch(
    model: Annotated[str, typer.Argument(metavar="MODEL[@REVISION]", help="Hub id, or name of a profile.")],
    role: Annotated[str, typer.Option(metavar="policy|reward", help="Which model of a profile.")] = "policy",
    sglang: Annotated[str | None, SGLANG_OPTION] = None,
) -> None:
    """Download a model before a machine without internet needs it. HF_HOME and your hub token are honoured."""
    from ..fetching import fetch as fetch_it
    from ..progress import show_progress

    if role not in {"policy", "reward"}:
        raise typer.BadParameter(f"--role {role!r} is neither policy nor reward")
    with show_progress() as progress:
        folder = fetch_it(model, "reward" if role == "reward" else "policy", progress.phase, sglang=sglang)
    typer.echo(str(folder))


COMMANDS: dict[str, Callable[..., Any]] = {
    "up": up,
    "run": run,
    "down": down,
    "status": status,
    "logs": logs,
    "profiles": profiles,
    "fetch": fetch,
    "command": command,
    "preflight": preflight,
}
