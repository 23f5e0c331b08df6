"""Parts that pages share. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .html import counted, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["problem_line", "verdict", "votes_bar"]

_WIDTH = 1000  # of a bar, in its own units
_MOST_PARTS = 24


def problem_line(problem: str, length: int) -> str:
    """A problem on one line, cut to a length."""
    words = " ".join(problem.split())
    return words if len(words) <= length else f"{words[: length - 1]}…"


def verdict(summary: Mapping[str, Any]) -> str:
    """The run's answer and whether it is right, in words too: colour alone tells not everybody."""
    answer, expected, right = summary["answer"], summary["expected"], summary["right"]
    if summary["why"] is None:
        return '<p class="verdict open">not ended yet</p>'
    said = "no answer" if answer is None else f"answer <b>{text(answer)}</b>"
    if right is None:
        return f'<p class="verdict open">{said}</p>'
    if right:
        return f'<p class="verdict right">✓ {said} is right</p>'
    return f'<p class="verdict wrong">✗ {said} is wrong; <b>{text(expected)}</b> is right</p>'


def votes_bar(classes: Sequence[Mapping[str, Any]], *, is_small: bool = False) -> str:
    """The answers as a bar of votes, the most frequent first."""
    total = sum(each["votes"] for each in classes)
    if not total:
        return ""
    parts: list[str] = []
    keys: list[str] = []
    left = 0.0
    for each in classes[:_MOST_PARTS]:
        width = _WIDTH * each["votes"] / total
        kind = {True: "right", False: "wrong", None: "open"}[each["right"]]
        parts.append(f'<rect class="{kind}" x="{left:.1f}" width="{max(1.0, width - 3):.1f}" height="10"/>')
        sign = {True: "✓ ", False: "✗ ", None: ""}[each["right"]]
        keys.append(f'<li class="{kind}">{sign}<b>{text(problem_line(each["answer"], 40))}</b> {each["votes"]}</li>')
        left += width
    first = text(f"{classes[0]['answer']}: {classes[0]['votes']} of {counted(total, 'vote')}")
    bar = (
        f'<svg class="votes" viewBox="0 0 {_WIDTH} 10" preserveAspectRatio="none" role="img" aria-label="{first}">'
        f"<title>{first}</title>{''.join(parts)}</svg>"
    )
    if is_small:
        return bar
    more = len(classes) - _MOST_PARTS
    rest = f"<li>and {more} more</li>" if more > 0 else ""
    return f'{bar}<ul class="keys">{"".join(keys)}{rest}</ul>'
