"""`ets-client show`: a run as pages."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from .failures import told

__all__ = ["show"]


def show(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="Where to write the pages.", show_default="RUN/pages")] = None,
    cut: Annotated[
        bool, typer.Option("--cut", help="Go without all that follows a damaged line of the journal.")
    ] = False,
) -> None:
    """Write an index and a page for each question, with its tree. The pages load nothing from anywhere.

    A run that is still going on is shown as far as it is.
    """
    with told("pages need"):
        from ..search.journal import load_run
        from ..search.pages import write_pages

        index = write_pages(load_run(run, cut=cut), out or run / "pages", run.absolute().name)
    typer.echo(f"written to {index}")
