"""Commands and their options; the work is elsewhere."""

from __future__ import annotations

import asyncio
import json
import math
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from .. import __version__
from ..client import AsyncPolicyClient
from ..errors import EtsClientError
from ..profiles import list_profiles
from ..search import (
    Question,
    RebaseSearch,
    RunResult,
    SearchEnded,
    SearchEvent,
    SearchResult,
    load_questions,
    search_all,
)
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
    for profile in list_profiles():
        delimiters = " ".join(map(repr, profile.steps.delimiters))
        typer.echo(f"{profile.name:10} steps end at {delimiters:8} {profile.summary}")


@app.command()
def search(
    questions: Annotated[
        Path, typer.Argument(metavar="QUESTIONS", help='JSON lines with "problem" and "answer".', show_default=False)
    ],
    url: Annotated[
        str | None, typer.Option(help="Address of the policy server.", show_default="http://127.0.0.1:30000")
    ] = None,
    endpoint: Annotated[
        Path | None, typer.Option(help="Endpoint file of `ets-server up`, instead of --url.", show_default=False)
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="Profile name or file.", show_default="the one that --endpoint names")
    ] = None,
    first: Annotated[int | None, typer.Option(min=1, help="Take only so many questions.", show_default="all")] = None,
    width: Annotated[int, typer.Option(min=1, help="Samples of a level.")] = 8,
    depth: Annotated[int, typer.Option(min=1, help="Most levels.")] = 6,
    at_once: Annotated[int, typer.Option(min=1, help="Questions in flight.")] = 4,
    seconds: Annotated[
        float, typer.Option(min=0.0, help="Start no question that would not be done by then, and no level after it.")
    ] = math.inf,
    out: Annotated[Path | None, typer.Option(help="Write the result as JSON.", show_default=False)] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Print lines instead of growing trees, as without a terminal.")
    ] = False,
) -> None:
    """Search questions with REBASE and show the trees growing.

    Scores are mean log-probabilities of the steps: they stand in for a reward model. After Ctrl-C, or when the server
    is lost, the questions that were done are shown and written.
    """
    console = Console()
    if url is not None and endpoint is not None:
        raise typer.BadParameter("give --url or --endpoint, not both")
    if out is not None and (out.is_dir() or not out.absolute().parent.is_dir()):
        raise typer.BadParameter(f"--out {out}: not a file in a folder that exists")
    start = time.monotonic()
    done: dict[int, SearchResult] = {}
    ended, status = "", 0
    asked: list[Question] = []
    try:
        asked = load_questions(questions)[:first]
        client = (
            AsyncPolicyClient(url or "http://127.0.0.1:30000", profile)
            if endpoint is None
            else AsyncPolicyClient.from_endpoint(endpoint, profile)
        )
        plan = _Plan(asked, width, depth, at_once, seconds, is_plain=plain or not console.is_terminal)
        run = asyncio.run(_search(console, client, plan, done))
    except EtsClientError as error:
        if not done:
            _fail(error)
        ended, status = f"error: {error}", 1
        run = RunResult(dict(sorted(done.items())), len(asked) - len(done), None, time.monotonic() - start)
    except KeyboardInterrupt:
        ended, status = "stopped; nothing is left running on the server", 130
        run = RunResult(dict(sorted(done.items())), 0, None, time.monotonic() - start)
    if run.results or not status:
        console.print(result_table(run))
        if out is not None:
            out.write_text(json.dumps(as_json(run), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            typer.echo(f"written to {out}")
    if ended:
        typer.echo(ended, err=True)
    if status:
        raise typer.Exit(status)


@dataclass(frozen=True)
class _Plan:
    """What the options ask for."""

    questions: list[Question]
    width: int
    depth: int
    at_once: int
    seconds: float
    is_plain: bool = field(kw_only=True)


async def _search(console: Console, client: AsyncPolicyClient, plan: _Plan, done: dict[int, SearchResult]) -> RunResult:
    async with client:
        searching = RebaseSearch(client, plan.width, plan.depth)
        info = client.capabilities
        console.print(
            f"SGLang {info.version} serves {Path(info.model_path).name}; profile {client.profile.name}; "
            f"{len(plan.questions)} questions, {plan.at_once} at once, width {plan.width}; "
            "scores are mean log-probabilities and stand in for a reward model",
            highlight=False,
        )
        view = PlainView(console) if plan.is_plain else LiveView(console)

        def observe(event: SearchEvent) -> None:
            if isinstance(event, SearchEnded):
                done[event.number] = event.result
            view.observe(event)

        with view:
            return await search_all(
                searching, plan.questions, at_once=plan.at_once, seconds=plan.seconds, observe=observe
            )


def _fail(error: Exception) -> NoReturn:
    typer.echo(f"error: {error}", err=True)
    sys.exit(1)
