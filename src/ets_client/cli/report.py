"""The result of a run as a table and as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from ..search import RunResult, least_prefill
from .plain import counted

if TYPE_CHECKING:
    from ..prefix import Prefix
    from ..server_info import ServerMetrics

__all__ = ["as_json", "result_table"]


def result_table(run: RunResult, *, is_resumed: bool = False) -> Table:
    """What each question came to, and below it what the server itself counted.

    Args:
        run: what was found.
        is_resumed: whether it went on: then the server's count is of a part of these trees, and no ratio is told.
    """
    table = Table(
        title="What the search found and what the server did",
        caption=_caption(run, is_resumed=is_resumed),
        caption_justify="left",
        box=None,  # lines between the columns would not fit into 80 characters
        padding=(0, 1, 0, 0),
        header_style="bold underline",
    )
    table.add_column("#", justify="right", no_wrap=True)
    for heading in ("answer", "expected", ""):
        table.add_column(heading, no_wrap=True)
    for heading in ("expands", "samples", "generated", "prefilled", "least", "s"):
        table.add_column(heading, justify="right", no_wrap=True)
    least_of_all = 0
    for number, least in _least(run).items():
        result = run.results[number]
        least_of_all += least
        verdict = {True: "[green]right[/]", False: "[red]wrong[/]", None: ""}[result.is_correct]
        if result.answer is None and not result.is_complete:
            verdict = "unfinished" if result.error is None else "failed"
        table.add_row(
            str(number + 1), result.answer or "none", result.question.answer or "?", verdict, str(result.expands),
            str(result.samples), str(result.usage.completion_tokens), str(result.usage.computed_tokens), str(least),
            f"{result.seconds:.0f}",
        )  # fmt: skip
    table.add_row()
    graded = [result.is_correct for result in run.results.values() if result.is_correct is not None]
    results = run.results.values()
    metrics = run.metrics
    table.add_row(
        "", "all", "", f"{sum(graded)} of {len(graded)}" if graded else "",
        str(sum(result.expands for result in results)),
        str(sum(result.samples for result in results)),
        str(metrics.generated_tokens if metrics else sum(result.usage.completion_tokens for result in results)),
        str(metrics.prefilled_tokens if metrics else sum(result.usage.computed_tokens for result in results)),
        str(least_of_all),
        f"{run.seconds:.0f}",
        style="bold",
    )  # fmt: skip
    return table


def as_json(run: RunResult) -> dict[str, Any]:
    """The same as plain data."""
    least = _least(run)
    metrics = run.metrics
    return {
        "seconds": run.seconds,
        "not_started": run.not_started,
        "server": _counted_by(metrics),
        "reward_server": _counted_by(run.reward_metrics),
        "least_prefilled_tokens": sum(least.values()),
        "questions": [
            {
                "number": number + 1,
                "problem": result.question.problem,
                "expected": result.question.answer,
                "answer": result.answer,
                "is_correct": result.is_correct,
                "is_complete": result.is_complete,
                "why": result.why,
                "expands": result.expands,
                "samples": result.samples,
                "lost": result.lost,
                "prompt_tokens": result.usage.prompt_tokens,
                "cached_tokens": result.usage.cached_tokens,
                "generated_tokens": result.usage.completion_tokens,
                "least_prefilled_tokens": least[number],
                "seconds": result.seconds,
            }
            for number, result in run.results.items()
        ],
    }


def _counted_by(metrics: ServerMetrics | None) -> dict[str, int] | None:
    if metrics is None:
        return None
    return {
        "prefilled_tokens": metrics.prefilled_tokens,
        "reused_tokens": metrics.reused_tokens,
        "generated_tokens": metrics.generated_tokens,
    }


def _least(run: RunResult) -> dict[int, int]:
    roots: list[Prefix] = []
    least: dict[int, int] = {}
    for number, result in run.results.items():
        root = result.tree.root.prefix
        least[number] = least_prefill(root, roots, result.samples)
        roots.append(root)
    return least


def _caption(run: RunResult, *, is_resumed: bool) -> str:
    lines = ["prefilled: prompt tokens that the server computed; least: what any client needs on an empty cache."]
    if run.metrics is not None and is_resumed:
        lines.append(
            f"The last row is the server's own count since the run was resumed: it prefilled "
            f"{run.metrics.prefilled_tokens} tokens and reused {run.metrics.reused_tokens}."
        )
    elif run.metrics is not None:
        least = sum(_least(run).values())
        ratio = run.metrics.prefilled_tokens / least if least else 0.0
        lines.append(
            f"The last row is the server's own count: it prefilled {run.metrics.prefilled_tokens} tokens, "
            f"{ratio:.3f} times the least, and reused {run.metrics.reused_tokens}."
        )
    lost = sum(result.lost for result in run.results.values())
    if lost:
        lines.append(f"{counted(lost, 'sample')} became no step: too long and dropped, broken, or stopped early.")
    if run.ended_before:
        were = "was" if len(run.ended_before) == 1 else "were"
        lines.append(f"{counted(len(run.ended_before), 'question')} {were} done in earlier sessions.")
    if run.reward_metrics is not None:
        reward = run.reward_metrics
        lines.append(f"The reward server prefilled {reward.prefilled_tokens} tokens and reused {reward.reused_tokens}.")
    if run.not_started:
        lines.append(f"{counted(run.not_started, 'more question')} did not fit into the budget.")
    return "\n".join(lines)
