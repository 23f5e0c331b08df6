"""A run as one bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..search import NodeAdded, SearchEnded, SearchEndedBefore, SearchEvent

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console, RenderableType

__all__ = ["ProgressView"]


class ProgressView:
    """Questions that are done, steps so far, and how many were right."""

    def __init__(self, console: Console, questions: int) -> None:
        """Make it.

        Args:
            console: where to draw.
            questions: of the run.
        """
        self._questions = questions
        self._steps = self._right = self._graded = self._failed = self._before = 0
        self._progress = Progress(
            TextColumn("questions"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), console=console, transient=True,
        )  # fmt: skip
        self._task = self._progress.add_task("", total=questions)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def observe(self, event: SearchEvent) -> None:
        """Take in what happened."""
        if isinstance(event, NodeAdded):
            self._steps += 1
        elif isinstance(event, SearchEnded):
            result = event.result
            self._graded += result.is_correct is not None
            self._right += bool(result.is_correct)
            self._failed += result.error is not None
            self._progress.advance(self._task)
        elif isinstance(event, SearchEndedBefore):
            self._before += 1  # what is left is the bar: done at once, these would make it promise too short a time
            self._progress.update(self._task, total=self._questions - self._before)
        else:
            return
        told = [f"{self._steps:,} steps"]
        if self._graded:
            told.append(f"{self._right} of {self._graded} right")
        if self._failed:
            told.append(f"{self._failed} failed")
        if self._before:
            told.append(f"{self._before} done before")
        self._progress.update(self._task, description=", ".join(told))

    def drawing(self) -> RenderableType:
        """What the screen shows now."""
        return self._progress.get_renderable()
