"""The index of a run: what ran, how good it was, and a row a question. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .html import counted, page, text
from .parts import problem_line, votes_bar
from .question_page import page_name

if TYPE_CHECKING:
    from ..methods.view import JsonValue

__all__ = ["index_page"]

_COLUMNS = (
    ("number", "#", True), ("problem", "question", False), ("answer", "answer", False), ("expected", "expected", False),
    ("right", "", False), ("votes", "votes", False), ("answers", "answers", True), ("nodes", "nodes", True),
    ("generated", "generated", True), ("reused", "reused", True), ("peak_kv", "peak KV", True), ("seconds", "s", True),
)  # fmt: skip
_PROBLEM = 110


def index_page(name: str, manifest: Mapping[str, Any], summaries: Sequence[Mapping[str, Any]]) -> str:
    """The page.

    Args:
        name: of the run.
        manifest: of the run.
        summaries: one a question, as :func:`~.data.summary_of` gives them.
    """
    heads = "".join(
        f'<th scope="col"{" class=number" if is_number else ""} aria-sort="none">'
        f'<button type="button" data-column="{place}">{label or "verdict"}</button></th>'
        for place, (_, label, is_number) in enumerate(_COLUMNS)
    )
    rows = "".join(map(_row, summaries))
    body = (
        f'<header class="top"><nav aria-label="Run"><span>{text(name)}</span></nav>'
        '<button type="button" id="theme" class="quiet">dark / light</button></header>\n'
        f'<main><section class="head"><h1>{text(_title(manifest, name))}</h1>{_tiles(summaries)}'
        f"<details class='manifest'><summary>What ran</summary>{_plain(manifest)}</details></section>\n"
        '<div class="filter"><label>Filter '
        '<input type="search" id="filter" placeholder="text, right, wrong, unfinished"></label> '
        f'<output id="shown">{counted(len(summaries), "question")}</output></div>'
        f'<div class="scroll"><table id="questions"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
        "</main>"
    )
    return page(name, body, styles=("base.css", "index.css"), scripts=("theme.js", "index.js"))


def _title(manifest: Mapping[str, Any], name: str) -> str:
    method: Mapping[str, Any] = manifest.get("method", {})
    told = " ".join(str(method[key]) for key in ("name", "variant") if key in method)
    found = manifest.get("search", {}).get("width", method.get("width"))
    width = "" if found is None else f", width {found}"
    model = str(manifest.get("policy", {}).get("model", "")).rstrip("/").rpartition("/")[2]
    return f"{told}{width} on {model}" if told and model else f"{told}{width}" or name


def _tiles(summaries: Sequence[Mapping[str, Any]]) -> str:
    graded = [each["right"] for each in summaries if each["right"] is not None]
    ended = [each for each in summaries if each["why"] is not None]
    prompt = sum(each["prompt"] for each in summaries)
    cached = sum(each["cached"] for each in summaries)
    count = max(1, len(summaries))
    tiles = (
        ("right", f"{sum(graded) / len(graded):.1%}" if graded else "-", f"{sum(graded)} of {len(graded)} graded"),
        ("questions", f"{len(ended):,}", f"ended, {len(summaries) - len(ended)} not"),
        ("generated", f"{sum(each['generated'] for each in summaries):,}", "tokens on the policy"),
        ("reused", f"{cached / prompt:.1%}" if prompt else "-", f"of {prompt:,} prompt tokens"),
        ("resident KV", f"{sum(each['mean_kv'] for each in summaries) / count:,.0f}", "tokens, mean of a question"),
        ("peak KV", f"{max((each['peak_kv'] for each in summaries), default=0):,}", "tokens, the largest question"),
        ("seconds", f"{sum(each['seconds'] for each in summaries) / count:,.1f}", "a question"),
    )
    cells = "".join(
        f"<div><dt>{label}</dt><dd>{value}</dd><dd class='note'>{note}</dd></div>" for label, value, note in tiles
    )
    return f'<dl class="tiles">{cells}</dl>'


def _row(summary: Mapping[str, Any]) -> str:
    number, right = summary["number"], summary["right"]
    kind = "unfinished" if summary["why"] is None else {True: "right", False: "wrong", None: "open"}[right]
    sign = {"right": "✓ right", "wrong": "✗ wrong", "open": "", "unfinished": "unfinished"}[kind]
    reused = summary["cached"] / summary["prompt"] if summary["prompt"] else 0.0
    link = f'<a href="{page_name(number)}">{text(problem_line(summary["problem"], _PROBLEM))}</a>'
    cells = (
        (number + 1, f"{number + 1}", "number"),
        (summary["problem"][:_PROBLEM], link, "problem"),
        (summary["answer"] or "", text(problem_line(summary["answer"] or "-", 24)), ""),
        (summary["expected"] or "", text(problem_line(summary["expected"] or "?", 24)), ""),
        (kind, f'<span class="{kind}">{sign}</span>', "verdict-cell"),
        (_leading(summary), votes_bar(summary["classes"], is_small=True), "bar"),
        (summary["answers"], f"{summary['answers']:,}", "number"),
        (summary["nodes"], f"{summary['nodes']:,}", "number"),
        (summary["generated"], f"{summary['generated']:,}", "number"),
        (reused, f"{reused:.1%}", "number"),
        (summary["peak_kv"], f"{summary['peak_kv']:,}", "number"),
        (summary["seconds"], f"{summary['seconds']:,.1f}", "number"),
    )
    shown = "".join(
        f'<td data-value="{text(value)}"{f" class={kind_of}" if kind_of else ""}>{markup}</td>'
        for value, markup, kind_of in cells
    )
    return f"<tr>{shown}</tr>"


def _leading(summary: Mapping[str, Any]) -> float:
    """The share of the most frequent answer."""
    return summary["classes"][0]["votes"] / summary["answers"] if summary["classes"] else 0.0


def _plain(value: JsonValue) -> str:
    if isinstance(value, Mapping) and value:
        rows = "".join(f"<dt>{text(key)}</dt><dd>{_plain(each)}</dd>" for key, each in value.items())
        return f'<dl class="plain">{rows}</dl>'
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        return ", ".join(_plain(each) for each in value)
    return text("-" if value is None or value in ({}, [], "") else value)
