"""The search as lines, for logs and pipes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self

from ..search import LevelEnded, SearchEnded, SearchEvent, SearchStarted

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console

__all__ = ["PlainView", "counted", "one_line", "shown"]


class PlainView:
    """Prints one line when a question starts, a level ends and a question is done."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    def observe(self, event: SearchEvent) -> None:
        """Print what happened."""
        match event:
            case SearchStarted(number, question, tree):
                root = counted(len(tree.root.prefix), "prompt token")
                self._print(f"[{number + 1}] {one_line(question.problem, 90)} ({root})")
            case LevelEnded(number, depth, nodes):
                if not nodes:
                    return
                best = max(nodes, key=lambda node: -math.inf if node.score is None else node.score)
                answers = [node.answer for node in nodes if node.answer is not None]
                told = f", answers {' '.join(answers)}" if answers else ""
                text = one_line(best.branch.text if best.branch is not None else "", 70)
                steps = counted(len(nodes), "step")
                self._print(f"[{number + 1}] level {depth}: {steps}{told}; best {shown(best.score)}: {text}")
            case SearchEnded(number, result):
                verdict = {True: "right", False: "wrong", None: "not graded"}[result.is_correct]
                if result.answer is None and not result.is_complete:
                    verdict = "unfinished" if result.error is None else "failed"  # as in the table at the end
                self._print(f"[{number + 1}] answer {result.answer or 'none'}: {verdict}, {result.seconds:.1f} s")
            case _:
                return

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def shown(score: float | None) -> str:
    """A score with two digits, or a dash."""
    return "-" if score is None else f"{score:.2f}"


def one_line(text: str, length: int) -> str:
    """The text on one line, cut to a length."""
    words = " ".join(text.split())
    return words if len(words) <= length else f"{words[: length - 1]}…"


def counted(number: int, noun: str) -> str:
    """``1 step``, ``2 steps``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
