"""The page of one question: the head is markup, the tree is drawn by the page's script from the data in it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .html import counted, page, text
from .parts import problem_line, verdict, votes_bar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["page_name", "question_page"]

_SCRIPTS = ("theme.js", "tree.js", "layout.js", "draw.js", "details.js", "levels.js", "export.js", "page.js")


def page_name(number: int) -> str:
    """The file of a question."""
    return f"question-{number + 1:04d}.html"


def question_page(
    name: str, summary: Mapping[str, Any], data: Mapping[str, Any], before: int | None, after: int | None
) -> str:
    """The page.

    Args:
        name: of the run.
        summary: as :func:`~.data.summary_of` gives it.
        data: as :func:`~.data.question_data` gives it.
        before: number of the question before it, if there is one.
        after: of the one after it.
    """
    number = summary["number"] + 1
    body = (
        '<header class="top">'
        f'<nav aria-label="Questions"><a href="index.html">{text(name)}</a>{_link(before, "←", "previous question")}'
        f"<span>question {number}</span>{_link(after, '→', 'next question')}</nav>"
        '<button type="button" id="theme" class="quiet">dark / light</button></header>\n'
        f'<main><section class="head"><h1>{text(summary["problem"])}</h1>{verdict(summary)}'
        f"{votes_bar(summary['classes'])}{_tiles(summary)}</section>\n"
        '<div id="app"><noscript>The tree needs JavaScript; the script is in this page and nothing else is loaded.'
        "</noscript></div></main>"
    )
    title = f"{number}. {problem_line(summary['problem'], 60)}"
    return page(title, body, styles=("base.css", "tree.css"), scripts=_SCRIPTS, data=data)


def _link(number: int | None, sign: str, label: str) -> str:
    if number is None:
        return f'<span class="off" aria-hidden="true">{sign}</span>'
    return f'<a href="{page_name(number)}" aria-label="{label}" title="{label}">{sign}</a>'


def _tiles(summary: Mapping[str, Any]) -> str:
    prompt, cached = summary["prompt"], summary["cached"]
    reused = f"{cached / prompt:.1%}" if prompt else "-"
    tiles: Sequence[tuple[str, str, str]] = (
        ("answers", f"{summary['answers']:,}", f"{counted(len(summary['classes']), 'different one')}"),
        ("nodes", f"{summary['nodes']:,}", f"{counted(summary['samples'], 'sample')}, {summary['depth']} deep"),
        ("generated", f"{summary['generated']:,}", "tokens on the policy"),
        ("reused", reused, f"of {prompt:,} prompt tokens; {prompt - cached:,} computed"),
        ("resident KV", f"{summary['peak_kv']:,}", f"tokens at most, {summary['mean_kv']:,} on average"),
        ("scoring", f"{summary['scoring']:,}", "tokens on the reward server"),
        ("seconds", f"{summary['seconds']:,.1f}", text(summary["why"] or "not ended")),
    )
    cells = "".join(
        f"<div><dt>{label}</dt><dd>{value}</dd><dd class='note'>{note}</dd></div>" for label, value, note in tiles
    )
    return f'<dl class="tiles">{cells}</dl>'
