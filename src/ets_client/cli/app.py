"""Commands and their options; the work is elsewhere."""

from __future__ import annotations

import asyncio
import json
import math
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

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
from ..tokenizer_check import check_tokenizer
from .evaluate import evaluate
from .findings import capabilities_table, report_as_json, report_table
from .live import LiveView
from .plain import PlainView, counted
from .report import as_json, result_table
from .show import show

if TYPE_CHECKING:
    from ..profiles import ProfileReport
    from ..server_info import ServerInfo

__all__ = ["app"]

_HERE = "http://127.0.0.1:30000"

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Tree search on an SGLang policy server.")


app.command()(evaluate)
app.command()(show)


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
def check(
    url: Annotated[
        str | None, typer.Argument(help="Address of the server.", show_default="http://127.0.0.1:30000")
    ] = None,
    endpoint: Annotated[
        Path | None, typer.Option(help="Endpoint file of `ets-server up`, instead of URL.", show_default=False)
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="A tokenizer.json or its folder, instead of a server.", show_default=False)
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="Profile name or file.", show_default="the one that --endpoint names")
    ] = None,
    is_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Show what a server is, and whether a profile fits its tokenizer.

    Exits with 1 when the profile does not fit, or the server does not answer.
    """
    if sum(source is not None for source in (url, endpoint, tokenizer)) > 1:
        raise typer.BadParameter("give a URL, --endpoint or --tokenizer, only one of them")
    if tokenizer is not None and profile is None:
        raise typer.BadParameter("--tokenizer needs --profile")
    try:
        report, info = asyncio.run(_check(url, endpoint, tokenizer, profile))
    except EtsClientError as error:
        _fail(error)
    if is_json:
        typer.echo(json.dumps(report_as_json(report, info), indent=1, ensure_ascii=False))
    else:
        console = Console()
        if info is not None:
            console.print(capabilities_table(info))
        console.print(report_table(report))
    if report.errors:
        raise typer.Exit(1)


async def _check(
    url: str | None, endpoint: Path | None, tokenizer: Path | None, profile: str | None
) -> tuple[ProfileReport, ServerInfo | None]:
    if tokenizer is not None and profile is not None:
        return await check_tokenizer(tokenizer, profile), None
    client = (
        AsyncPolicyClient(url or _HERE, profile, check_profile=False)
        if endpoint is None
        else AsyncPolicyClient.from_endpoint(endpoint, profile, check_profile=False)
    )
    async with client:
        return await client.check_profile(), client.capabilities


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
    out: Annotated[
        Path | None, typer.Option(help="Write answer and counts of each question as JSON.", show_default=False)
    ] = None,
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
            AsyncPolicyClient(url or _HERE, profile)
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
            f"{counted(len(plan.questions), 'question')}, {plan.at_once} at once, width {plan.width}; "
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
