"""Accuracy against answers, tokens, seconds and KV, as a figure."""

# pyright: reportUnknownMemberType=false
# matplotlib does not type its keyword arguments.

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import ConfigurationError
from .candidates import Aggregation
from .rules import Rule
from .votes import Vote

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from .evaluation import Accuracy, Evaluation

__all__ = ["PLOTTED", "plot_evaluations"]

PLOTTED = Rule(Vote.WEIGHTED, Aggregation.LAST)  # the rule of the published scripts
_COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#000000",
)  # Okabe and Ito: told apart by all
_MARKERS = "osD^vP*"
_COSTS = {
    "generated_tokens": "generated tokens a question",
    "seconds": "seconds a question",
    "mean_kv": "resident KV (mean tokens, prompt counted)",
    "published_kv": "ETS's KV figure (tokens, summed over levels)",
}


def plot_evaluations(evaluations: Sequence[Evaluation], path: str | os.PathLike[str], rule: Rule = PLOTTED) -> None:
    """Draw accuracy with its interval against the number of answers, and against each cost.

    Runs of one method are joined by a line, in the order of the cost.

    Args:
        evaluations: one a run.
        path: ``.pdf``, ``.png`` or ``.svg``.
        rule: who chooses the answers.

    Raises:
        ConfigurationError: matplotlib is not installed, or it does not write such files.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import StrMethodFormatter
    except ModuleNotFoundError:
        raise ConfigurationError('a plot needs matplotlib: pip install "ets-client[search]"') from None
    figure = Figure(figsize=(12, 6.4), layout="constrained")
    known = figure.canvas.get_supported_filetypes()
    ending = Path(path).suffix.removeprefix(".").lower()
    if ending not in known:
        raise ConfigurationError(f"{path}: matplotlib writes no {ending or 'file without an ending'}: use .pdf or .png")
    grid = figure.subplots(2, 3).flat
    methods = list(dict.fromkeys(_method(each) for each in evaluations))
    first, *others, last = grid
    for place, method in enumerate(methods):
        colour = _COLOURS[place % len(_COLOURS)]
        runs = [each for each in evaluations if _method(each) == method]
        for each, marker in zip(runs, cycle(_MARKERS), strict=False):
            _draw_sizes(first, each, rule, colour, marker)
        for axes, cost in zip(others, _COSTS, strict=True):
            _draw_costs(axes, runs, rule, cost, colour)
    if any(each.answers for one in evaluations for each in one.accuracies):  # without answers there is nothing above 0
        first.set_xscale("log", base=2)
    first.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    first.set_xlabel("answers of each question")
    for axes, label in zip(others, _COSTS.values(), strict=True):
        axes.set_xlabel(label)
    for axes in (first, *others):
        axes.set_ylabel(f"accuracy ({rule})")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = first.get_legend_handles_labels()
    last.axis("off")
    last.legend(handles, labels, loc="center left", frameon=False, title="runs")
    figure.savefig(path, dpi=160)


def _method(evaluation: Evaluation) -> str:
    method = evaluation.manifest.get("method", {})
    return " ".join(str(method[name]) for name in ("name", "variant") if name in method) or evaluation.name


def _error(accuracy: Accuracy) -> tuple[list[float], list[float]]:
    value, low, high = accuracy.share
    return [value - low], [high - value]


def _draw_sizes(axes: Axes, evaluation: Evaluation, rule: Rule, colour: str, marker: str) -> None:
    found = [each for each in evaluation.accuracies if each.rule == rule and each.answers is not None]
    counts = [each.answers or 0 for each in found]
    axes.fill_between(
        counts, [each.share.low for each in found], [each.share.high for each in found], color=colour, alpha=0.12, lw=0
    )
    axes.plot(counts, [each.share.value for each in found], color=colour, marker=marker, label=evaluation.name)


def _draw_costs(axes: Axes, runs: Sequence[Evaluation], rule: Rule, cost: str, colour: str) -> None:
    points = [
        (each.mean_costs()[cost], each.accuracy(rule), marker)
        for each, marker in zip(runs, cycle(_MARKERS), strict=False)
    ]
    points.sort(key=lambda point: point[0])
    axes.plot([x for x, _, _ in points], [accuracy.share.value for _, accuracy, _ in points], color=colour, lw=1)
    for x, accuracy, marker in points:
        axes.errorbar([x], [accuracy.share.value], yerr=_error(accuracy), color=colour, marker=marker, capsize=3)
