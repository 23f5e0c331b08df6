"""A run from the command line: servers, folder, view, and an end that can be resumed."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import signal
import sys
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from ..errors import ConfigurationError, EtsClientError
from ..search import (
    LogProb,
    Question,
    RewardServer,
    RunFolder,
    RunResult,
    Scorer,
    SearchEnded,
    SearchEvent,
    SearchResult,
    SelfConsistency,
    TreeSearch,
    kv_bytes_per_token,
    manifest_of,
    search_all,
)
from .live import LiveView
from .plain import PlainView, counted
from .progress import ProgressView
from .report import result_table
from .servers import client_of
from .summary import write_summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from ..search import OpenRun
    from .settings import Settings

__all__ = ["Plan", "run"]


@dataclass(frozen=True)
class Plan:
    """What the options ask for.

    Attributes:
        settings: of the search.
        questions: what to answer.
        resumes: whether the folder's run goes on.
        cuts: whether it goes on from before a damaged line of its journal.
        shows: what to show meanwhile.
    """

    settings: Settings
    questions: Sequence[Question]
    resumes: bool = field(kw_only=True)
    cuts: bool = field(kw_only=True, default=False)
    shows: Literal["bar", "trees", "lines"] = field(kw_only=True)


def run(console: Console, plan: Plan) -> int:
    """Search, show and keep.

    Args:
        console: where to show.
        plan: what to do.

    Returns:
        The exit status: 0, 1 after an error, 128 and the signal's number after a signal.
    """
    done: dict[int, SearchResult] = {}
    start, out = time.monotonic(), plan.settings.out
    is_resumed = plan.resumes and out is not None and RunFolder(out).has_run
    found: RunResult | None = None
    said, status, can_go_on = "", 0, True
    try:
        found = asyncio.run(_run(console, plan, done))
    except EtsClientError as error:
        said, status = f"error: {error}", 1
        can_go_on = not isinstance(error, ConfigurationError)  # the same command would say the same
    except KeyboardInterrupt:
        said, status = "stopped; nothing is left running on the server", 128 + signal.SIGINT
    except asyncio.CancelledError:
        said, status = "told to stop; nothing is left running on the server", 128 + signal.SIGTERM
    if found is None:
        found = RunResult(dict(sorted(done.items())), 0, None, time.monotonic() - start)
    elif found.failed:
        first = next(result.error for result in found.results.values() if result.error is not None)
        said, status = f"{counted(found.failed, 'question')} ended with an error, the first with: {first}", 1
    if found.results or not status:
        console.print(result_table(found, is_resumed=is_resumed))
        if out is not None:
            try:
                write_summary(out, found, adds=plan.resumes)
                typer.echo(f"everything is in {out}")
                if found.results or found.ended_before:
                    folder = shlex.quote(str(out))
                    typer.echo(f"grade it: {_typed()} evaluate {folder}; look at its trees: {_typed()} show {folder}")
            except (OSError, EtsClientError) as error:  # the disk is full, say; the journal has it all
                typer.echo(f"cannot write {out / 'summary.json'}: {error}", err=True)
                status = status or 1
    if said:
        typer.echo(said, err=True)
    if status and can_go_on and out is not None and RunFolder(out).has_run:
        again = [*sys.argv[1:], *([] if plan.resumes else ["--resume"])]
        typer.echo(f"go on with: {_typed()} {shlex.join(again)}", err=True)
    return status


def _typed() -> str:
    """The command as it can be typed again: by its name where the shell finds it, else by its path."""
    path = Path(sys.argv[0])
    found = shutil.which(path.name)
    return path.name if found is not None and path.exists() and path.samefile(found) else shlex.quote(sys.argv[0])


async def _run(console: Console, plan: Plan, done: dict[int, SearchResult]) -> RunResult:
    task = asyncio.current_task()
    if task is not None:
        with suppress(NotImplementedError, RuntimeError, ValueError):  # not in the main thread
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # a batch system's last warning
    settings = plan.settings
    budget = settings.budget()
    async with AsyncExitStack() as stack:
        admission = None if settings.samples_at_once == "none" else settings.samples_at_once
        client = await stack.enter_async_context(
            client_of(
                settings.policy,
                settings.endpoint,
                settings.profile,
                admission=admission,
                departure_interval=settings.departure_interval,
            )
        )
        scorer = await _scorer(settings, stack)
        options = settings.options(kv_bytes_per_token(client.capabilities.model_path))
        search = TreeSearch(client, settings.make_method(), scorer, options)
        _announce(console, search, plan)
        kept: OpenRun | None = None
        if settings.out is not None:
            manifest = manifest_of(search, plan.questions, at_once=settings.at_once, budget=budget)
            folder = RunFolder(settings.out)
            opened = folder.resume(manifest, cut=plan.cuts) if plan.resumes else folder.begin(manifest)
            kept = await stack.enter_async_context(opened)
        view = _view(console, plan)

        def observe(event: SearchEvent) -> None:
            if isinstance(event, SearchEnded):
                done[event.number] = event.result if kept is None else event.result.light()
            view.observe(event)

        with view:
            return await search_all(
                search, plan.questions, at_once=settings.at_once, budget=budget, observe=observe, run=kept
            )


async def _scorer(settings: Settings, stack: AsyncExitStack) -> Scorer:
    if not settings.has_reward:
        return SelfConsistency() if settings.scorer == "self-consistency" else LogProb()
    reward = client_of(settings.reward, settings.reward_endpoint, settings.reward_profile, check_profile=False)
    return RewardServer(await stack.enter_async_context(reward), settings.reward_format)


def _announce(console: Console, search: TreeSearch, plan: Plan) -> None:
    """Who serves, what was asked for, and what the variant implies."""
    info, settings = search.client.capabilities, plan.settings
    scorer = search.scorer
    if isinstance(scorer, RewardServer):
        told = f"scores by {Path(scorer.client.capabilities.model_path).name}, format {scorer.form.name}"
    elif isinstance(scorer, LogProb):
        told = "scores are mean log-probabilities and stand in for a reward model"
    else:
        told = "scores are the share of samples that agree"
    about = (
        f"SGLang {info.version} serves {Path(info.model_path).name}; profile {search.client.profile.name}; "
        f"{counted(len(plan.questions), 'question')}, {settings.at_once} at once, width {settings.width}; {told}"
    )
    for line in [about, *settings.describe()]:
        console.print(line, highlight=False, markup=False, soft_wrap=not console.is_terminal)


def _view(console: Console, plan: Plan) -> PlainView | LiveView | ProgressView:
    match plan.shows:
        case "lines":
            return PlainView(console)
        case "trees":
            return LiveView(console)
        case "bar":
            return ProgressView(console, len(plan.questions))
