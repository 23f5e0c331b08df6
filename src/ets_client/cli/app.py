"""Commands and their options; the work is elsewhere."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from .. import __version__
from ..client import AsyncPolicyClient
from ..errors import ConfigurationError, EtsClientError
from ..profiles import list_profiles
from ..search import Question, RebaseSearch, RunResult, load_questions, search_all
from .live import LiveView
from .plain import PlainView
from .report import as_json, result_table

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Tree search on an SGLang policy server.")


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def profiles() -> None:
    """List the model profiles that are known by name."""
    try:
        known = list_profiles()
    except ConfigurationError as error:
        _fail(error)
    for profile in known:
        delimiters = " ".join(map(repr, profile.steps.delimiters))
        typer.echo(f"{profile.name:10} steps end at {delimiters:8} {profile.summary}")


@app.command()
def search(
    questions: Annotated[Path, typer.Argument(help='JSON lines with "problem" and "answer".', show_default=False)],
    url: Annotated[str, typer.Option(help="Address of the policy server.")] = "http://127.0.0.1:30000",
    endpoint: Annotated[
        Path | None, typer.Option(help="Endpoint file of `ets-server up`, instead of --url.", show_default=False)
    ] = None,
    profile: Annotated[str | None, typer.Option(help="Profile name or file.", show_default="the server's")] = None,
    first: Annotated[int | None, typer.Option(min=1, help="Take only so many questions.", show_default="all")] = None,
    width: Annotated[int, typer.Option(min=1, help="Samples of a level.")] = 8,
    depth: Annotated[int, typer.Option(min=1, help="Most levels.")] = 6,
    at_once: Annotated[int, typer.Option(min=1, help="Questions in flight.")] = 4,
    seconds: Annotated[float, typer.Option(help="Start nothing new after this time.")] = float("inf"),
    out: Annotated[Path | None, typer.Option(help="Write the result as JSON.", show_default=False)] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Print lines instead of growing trees, as without a terminal.")
    ] = False,
) -> None:
    """Search questions with REBASE and show the trees growing.

    Scores are mean log-probabilities of the steps: they stand in for a reward model.
    """
    console = Console()
    try:
        asked = load_questions(questions)[:first]
        result = asyncio.run(
            _search(console, asked, url, endpoint, profile, width, depth, at_once, seconds, is_plain=plain)
        )
    except EtsClientError as error:
        _fail(error)
    except KeyboardInterrupt:
        typer.echo("stopped; nothing is left running on the server", err=True)
        raise typer.Exit(130) from None
    console.print(result_table(result))
    if out is not None:
        out.write_text(json.dumps(as_json(result), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        typer.echo(f"written to {out}")


async def _search(
    console: Console,
    asked: list[Question],
    url: str,
    endpoint: Path | None,
    profile: str | None,
    width: int,
    depth: int,
    at_once: int,
    seconds: float,
    *,
    is_plain: bool,
) -> RunResult:
    client = AsyncPolicyClient.from_endpoint(endpoint, profile) if endpoint else AsyncPolicyClient(url, profile)
    async with client:
        searching = RebaseSearch(client, width, depth)
        info = await client.server_info()
        console.print(
            f"SGLang {info.version} serves {Path(info.model_path).name}; profile {client.profile.name}; "
            f"{len(asked)} questions, {at_once} at once, width {width}; "
            "scores are mean log-probabilities and stand in for a reward model",
            highlight=False,
        )
        view = PlainView(console) if is_plain or not console.is_terminal else LiveView(console)
        with view:
            return await search_all(searching, asked, at_once=at_once, seconds=seconds, observe=view.observe)


def _fail(error: Exception) -> NoReturn:
    typer.echo(f"error: {error}", err=True)
    sys.exit(1)
