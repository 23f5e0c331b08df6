"""`ets-client show`: a run as pages."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from ..errors import EtsClientError

__all__ = ["show"]


def show(
    run: Annotated[Path, typer.Argument(help="Folder of a run.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="Where to write the pages.", show_default="RUN/pages")] = None,
    cut: Annotated[
        bool, typer.Option("--cut", help="Go without all that follows a damaged line of the journal.")
    ] = False,
) -> None:
    """Write an index and a page for each question, with its tree. The pages load nothing from anywhere.

    A run that is still going on is shown as far as it is.
    """
    try:
        from ..search.journal import load_run
        from ..search.pages import write_pages

        index = write_pages(load_run(run, cut=cut), out or run / "pages", run.absolute().name)
    except ModuleNotFoundError as error:
        typer.echo(f'error: pages need {error.name}: pip install "ets-client[search]"', err=True)
        sys.exit(1)
    except (EtsClientError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)
    typer.echo(f"written to {index}")
