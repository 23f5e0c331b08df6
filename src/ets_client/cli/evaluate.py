"""`ets-client evaluate`: runs graded, side by side."""

from __future__ import annotations

import math
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from .failures import told
from .plain import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..search.evaluate import Evaluation, Rule
    from ..search.evaluate.bootstrap import Interval

__all__ = ["evaluate", "evaluation_tables"]


def evaluate(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Folders of runs; several are compared.", show_default=False)
    ],
    csv: Annotated[
        Path | None, typer.Option(help="Write accuracy.csv, costs.csv and questions.csv into this folder.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw accuracy against answers, tokens, seconds and KV: a .pdf or .png.")
    ] = None,
    answers: Annotated[
        Path | None, typer.Option(help="Write the run in the form of ETS's own answers.json; of one run alone.")
    ] = None,
    draws: Annotated[
        int, typer.Option(min=0, help="Random subsets of each size; 0: the first n answers, as in search-and-learn.")
    ] = 0,
    seed: Annotated[int, typer.Option(help="Of subsets and intervals.")] = 0,
    resamples: Annotated[int, typer.Option(min=1, help="Of the questions, for the intervals.")] = 10_000,
    cut: Annotated[
        bool, typer.Option("--cut", help="Go without all that follows a damaged line of a journal.")
    ] = False,
) -> None:
    """Grade runs, choose their answers in all ways, and count what they cost.

    Intervals hold 95 % of resamples of the questions. Answers are compared by math-verify; the last table has the rules
    of the evaluator that ETS and REBASE were published with.
    """
    if answers is not None and len(runs) > 1:
        raise typer.BadParameter(f"--answers is of one run, {len(runs)} are given")
    with told("evaluation needs"):
        from ..search.evaluate import evaluate_run, export_answers, plot_evaluations, write_tables
        from ..search.journal import load_run

        evaluations: list[Evaluation] = []
        for path, name in zip(runs, _names(runs), strict=True):
            run = load_run(path, cut=cut)
            evaluations.append(evaluate_run(run, name, draws=draws, seed=seed, resamples=resamples))
            if answers is not None:
                export_answers(run, answers)
        Console().print(evaluation_tables(evaluations))
        written = [answers] if answers is not None else []
        if csv is not None:
            written += write_tables(evaluations, csv)
        if plot is not None:
            plot_evaluations(evaluations, plot)
            written.append(plot)
    for file in written:
        typer.echo(f"written to {file}")


def _names(runs: Sequence[Path]) -> list[str]:
    """The last part of each path, or more where these are the same."""
    parts = [path.absolute().parts for path in runs]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(each[-length:]) for each in parts]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in runs]


def evaluation_tables(evaluations: Sequence[Evaluation]) -> Group:
    """Accuracies with all answers, at 1, 2, 4, … of them, costs, and the published evaluator's, a column a run."""
    from ..search.evaluate import RULES, Aggregation, Grader, Rule, Vote

    head_all, all_answers = _table("Right answers in %, of all answers", evaluations)
    all_answers.add_row("as the run voted", *(_share(each.recorded) for each in evaluations))
    for rule in RULES:
        all_answers.add_row(_said(rule), *(_share(each.accuracy(rule).share) for each in evaluations))
    sizes = sorted({each.answers for one in evaluations for each in one.accuracies if each.answers is not None})
    head_some, some = _table("Right in %, of n answers, weighted vote, last; (k): k questions have fewer", evaluations)
    last = Rule(Vote.WEIGHTED, Aggregation.LAST)
    for n in sizes:
        some.add_row(f"n = {n}", *(_at(each, last, n) for each in evaluations))
    head_published, published = _table("Right in %, as the published evaluator grades and votes", evaluations)
    for rule in RULES:
        if rule.vote is not Vote.ANY and any(each.graded for each in evaluations):
            published.add_row(
                _said(rule),
                *(
                    _share(each.accuracy(rule, None, Grader.PUBLISHED).share) if each.graded else "-"
                    for each in evaluations
                ),
            )
    gap = Text()
    return Group(
        head_all, all_answers, gap, *_gains(evaluations, last), head_some, some, gap, head_published, published, gap,
        *_costs(evaluations), gap, *_notes(evaluations),
    )  # fmt: skip


def _table(title: str, evaluations: Sequence[Evaluation]) -> tuple[Text, Table]:
    """A title, which may be wider than its table, and the table."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="underline")
    table.add_column("", no_wrap=True)
    for each in evaluations:
        table.add_column(Text(each.name), justify="right")
    return Text(title, style="bold"), table


def _said(rule: Rule) -> str:
    said = {"best": "best path", "vote": "vote", "weighted": "weighted vote", "any": "right one is there"}[rule.vote]
    return said if rule.aggregation is None else f"{said}, {rule.aggregation}"


def _share(share: Interval) -> str:
    if math.isnan(share.value):
        return "-"
    return f"{100 * share.value:.1f} [{100 * share.low:.1f}, {100 * share.high:.1f}]"


def _at(evaluation: Evaluation, rule: Rule, n: int) -> str:
    try:
        found = evaluation.accuracy(rule, n)
    except KeyError:
        return "-"
    lacking = evaluation.graded - found.questions
    return _share(found.share) + (f" ({lacking})" if lacking else "")


def _gains(evaluations: Sequence[Evaluation], rule: Rule) -> tuple[Text | Table, ...]:
    if len(evaluations) < 2:
        return ()
    first, *others = evaluations
    title, table = _table(f"Gain over {first.name} in % of the questions", others)
    gains = [each.gain_over(first, rule) for each in others]
    table.add_row(
        _said(rule),
        *(
            "-"
            if math.isnan(each.value)
            else f"{100 * each.value:+.1f} [{100 * each.low:+.1f}, {100 * each.high:+.1f}]"
            for each in gains
        ),
    )
    return title, table, Text()


def _costs(evaluations: Sequence[Evaluation]) -> tuple[Text, Table]:
    title, table = _table("Cost of a question, mean", evaluations)
    costs = [each.mean_costs() for each in evaluations]
    names = {
        "samples": "samples", "generated_tokens": "generated tokens", "prompt_tokens": "prompt tokens sent",
        "cached_tokens": "of these cached", "scoring_tokens": "tokens to the reward server", "seconds": "seconds",
        "mean_kv": "resident KV, mean (tokens)", "peak_kv": "resident KV, peak (tokens)",
        "published_kv": "KV as ETS counts it (tokens)",
    }  # fmt: skip
    for cost, name in names.items():
        table.add_row(name, *(f"{each[cost]:,.1f}" for each in costs))
    return title, table


def _notes(evaluations: Sequence[Evaluation]) -> list[Text]:
    notes: list[str] = []
    for each in evaluations:
        ungraded = len(each.questions) - each.graded
        told = [counted(each.graded, "graded question")]
        told += [f"{ungraded} without a known answer"] if ungraded else []
        told += [f"{each.unfinished} not ended and left out"] if each.unfinished else []
        early = sum(question.why not in {"done", "depth"} for question in each.questions)
        told += [f"{early} ended early, by a budget or an error"] if early else []
        told += [f"scores taken through {each.scale}, since some are below 0"] if each.scale != "recorded" else []
        told += [f"{counted(len(each.given_up), 'comparison')} given up"] if each.given_up else []
        notes.append(f"{each.name}: {', '.join(told)}")
    return [Text(note, style="dim") for note in notes]
