"""The commands; each is in a file of its own."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated

import typer

from .. import __version__
from ..profiles import list_profiles
from .check import check
from .evaluate import evaluate
from .search import search
from .show import show

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Tree search on an SGLang policy server.")


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def profiles() -> None:
    """List the model profiles that are known by name."""
    for profile in list_profiles():
        delimiters = " ".join(map(repr, profile.steps.delimiters))
        typer.echo(f"{profile.name:10} steps end at {delimiters:8} {profile.summary}")


def _add(command: Callable[..., None]) -> None:
    """Add a command with its docstring, whose lines end where the terminal's do."""
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    app.command(help="\n\n".join(" ".join(each.split()) for each in paragraphs))(command)


for _each in (search, evaluate, show, check, profiles):
    _add(_each)
