"""The search as growing trees, for a terminal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from rich.console import Group
from rich.live import Live
from rich.panel import Panel
from rich.text import Text
from rich.tree import Tree

from ..search import Node, Question, SearchEnded, SearchEvent, SearchResult, SearchStarted, SearchTree, WidthAllocated
from .plain import counted, one_line, shown

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console, RenderableType

__all__ = ["LiveView", "draw_tree"]

_REFRESHES_A_SECOND = 4


@dataclass(slots=True)
class _Shown:
    question: Question
    tree: SearchTree
    decided_depth: int = -1
    result: SearchResult | None = None


@dataclass
class LiveView:
    """One panel for each question in flight; finished questions scroll away above them."""

    console: Console
    _running: dict[int, _Shown] = field(default_factory=dict[int, _Shown])

    def __post_init__(self) -> None:
        self._live = Live(
            get_renderable=self.drawing,
            console=self.console,
            refresh_per_second=_REFRESHES_A_SECOND,
            transient=True,
            vertical_overflow="crop",
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()

    def observe(self, event: SearchEvent) -> None:
        """Take in what happened; it is drawn at the next refresh."""
        match event:
            case SearchStarted(number, question, tree):
                self._running[number] = _Shown(question, tree)
            case WidthAllocated(number, depth, _):
                self._running[number].decided_depth = depth
            case SearchEnded(number, result):
                shown = self._running.pop(number)
                shown.result = result
                self.console.print(_panel(number, shown, len(result.tree)))
            case _:
                return

    def drawing(self) -> RenderableType:
        """What the screen shows now."""
        if not self._running:
            return Text("")
        lines = max(3, (self.console.height - 1) // len(self._running) - 3)
        return Group(*(_panel(number, shown, lines) for number, shown in self._running.items()))


def _panel(number: int, shown: _Shown, lines: int) -> Panel:
    title = Text(f"{number + 1}  {one_line(shown.question.problem, 80)}", style="bold")
    footer = Text(counted(len(shown.tree) - 1, "step"), style="dim")
    border = "cyan"
    if shown.result is not None:
        border = {True: "green", False: "red", None: "blue"}[shown.result.is_correct]
        footer = Text(f"answer {shown.result.answer} ({shown.question.answer} is right), {shown.result.seconds:.1f} s")
    return Panel(
        draw_tree(shown.tree, shown.decided_depth, lines), title=title, title_align="left", subtitle=footer,
        subtitle_align="right", border_style=border, padding=(0, 1),
    )  # fmt: skip


def draw_tree(tree: SearchTree, decided_depth: int, lines: int) -> Tree:
    """Draw the nodes that live; pruned siblings become one line.

    Args:
        tree: what to draw.
        decided_depth: the deepest level whose nodes have their widths; below it everything still lives.
        lines: about how many lines to use; the deepest levels are left out beyond it.
    """
    drawn = Tree(_label(tree.root), guide_style="dim")
    level = [(tree.root, drawn)]
    left = lines - 1
    while level and left > 0:
        below: list[tuple[Node, Tree]] = []
        for node, place in level:
            alive = [child for child in node.children if _lives(child, decided_depth)]
            below.extend((child, place.add(_label(child))) for child in alive)
            pruned = len(node.children) - len(alive)
            if pruned:
                place.add(Text(f"✂ {pruned} pruned", style="dim"))
            left -= len(alive) + bool(pruned)
        level = below
    return drawn


def _lives(node: Node, decided_depth: int) -> bool:
    return node.depth > decided_depth or node.width > 0 or not node.is_open


def _label(node: Node) -> Text:
    if node.branch is None:
        return Text(f"root, {counted(len(node.prefix), 'token')}", style="bold")
    label = Text(f"{shown(node.score):>5} ", style="yellow")
    label.append(one_line(node.branch.text, 70) or "(empty step)")
    if node.answer is not None:
        label.append(f"  → {node.answer}", style="bold green")
    elif node.width:
        label.append(f"  ({node.width} {'child' if node.width == 1 else 'children'})", style="cyan")
    elif not node.is_open:
        label.append(f"  ({node.branch.end})", style="dim")
    return label
