"""Write the pages of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..evaluate.comparer import Comparer
from .data import question_data, summary_of
from .index_page import index_page
from .question_page import page_name, question_page

if TYPE_CHECKING:
    import os

    from ..evaluate.equality import IsSame
    from ..loaded import LoadedRun

__all__ = ["write_pages"]


def write_pages(
    run: LoadedRun, folder: str | os.PathLike[str], name: str = "run", *, is_same: IsSame | None = None
) -> Path:
    """Write an index and a page for each question, with its tree. Each page is one file that loads nothing else.

    Args:
        run: as :func:`load_run` gives it; it may still be going on.
        folder: where to; it is made, and pages that are there are written anew.
        name: of the run.
        is_same: whether two answers mean the same; by default math-verify says so.

    Returns:
        The index.

    Raises:
        ConfigurationError: math-verify is needed and not installed.
        OSError: a file cannot be written.
    """
    pages = Path(folder)
    pages.mkdir(parents=True, exist_ok=True)
    numbers = [None, *run.questions, None]
    summaries: list[dict[str, Any]] = []
    with Comparer() as comparer:
        same = is_same or comparer
        # One question at a time: a run may be larger than memory.
        for question, before, after in zip(run.questions.values(), numbers, numbers[2:], strict=False):
            summary = summary_of(question, same)
            written = question_page(name, summary, question_data(question, same), before, after)
            (pages / page_name(question.number)).write_text(written, encoding="utf-8")
            summaries.append(summary)
    index = pages / "index.html"
    index.write_text(index_page(name, run.manifest, summaries), encoding="utf-8")
    return index
