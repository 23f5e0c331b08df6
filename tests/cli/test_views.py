"""What people see while a search runs, drawn from the same events."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from ets_client import Branch, EndReason, ServerMetrics, Usage
from ets_client.cli.live import LiveView, draw_tree
from ets_client.cli.plain import PlainView, counted, one_line
from ets_client.cli.progress import ProgressView
from ets_client.cli.report import as_json, result_table
from ets_client.search import (
    LevelEnded,
    Node,
    NodeAdded,
    Question,
    RunResult,
    SearchEnded,
    SearchEndedBefore,
    SearchEvent,
    SearchResult,
    SearchStarted,
    SearchTree,
    WidthAllocated,
)
from ets_client.search.journal import EndEntry
from tests.fakes import root

QUESTION = Question(problem="How many apples?", answer="8")


def branch(tree: SearchTree, parent: Node, text: str, end: EndReason = EndReason.DELIMITER) -> Branch:
    return Branch(text, (7,), parent.prefix.child((7,), text), end, None, "", Usage(), "rid")


def story() -> tuple[list[SearchEvent], SearchResult]:
    """A search of two levels: one step is continued, one is pruned, one answers."""
    tree = SearchTree(root([65, 66]))
    events: list[SearchEvent] = [SearchStarted(0, QUESTION, tree), WidthAllocated(0, 0, (tree.root,))]
    tree.root.width = 3
    kept = tree.add(tree.root, branch(tree, tree.root, "Count  them\nall"), -0.1, None)
    tree.add(tree.root, branch(tree, tree.root, "Give up"), -2.0, None)
    ended = tree.add(tree.root, branch(tree, tree.root, "No", EndReason.EOS), -0.5, None)
    events += [NodeAdded(0, node) for node in tree.root.children]
    events.append(LevelEnded(0, 1, tuple(tree.level(1))))
    kept.width = 1
    events.append(WidthAllocated(0, 1, (kept, ended)))
    leaf = tree.add(kept, branch(tree, kept, "The answer is 8"), -0.2, "8")
    events += [NodeAdded(0, leaf), LevelEnded(0, 2, (leaf,))]
    result = SearchResult(QUESTION, "8", True, tree, 2, 4, 0, Usage(9, 7, 4), Usage(), 1.5, "done")
    return [*events, SearchEnded(0, result)], result


def screen(*, terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=100, height=40, color_system=None)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_plain_lines_tell_start_levels_and_answer() -> None:
    console = screen()
    with PlainView(console) as view:
        for event in story()[0]:
            view.observe(event)
    assert written(console).splitlines() == [
        "[1] How many apples? (2 prompt tokens)",
        "[1] level 1: 3 steps; best -0.10: Count them all",
        "[1] level 2: 1 step, answers 8; best -0.20: The answer is 8",
        "[1] answer 8: right, 1.5 s",
    ]


def test_a_search_that_had_no_time_to_answer_is_not_called_wrong() -> None:
    console = screen()
    with PlainView(console) as view:
        view.observe(SearchEnded(0, replace(story()[1], answer=None, is_correct=False, why="seconds")))
    assert written(console) == "[1] answer none: unfinished, 1.5 s\n"


def test_the_tree_shows_what_lives_and_counts_what_was_pruned() -> None:
    console = screen()
    console.print(draw_tree(story()[1].tree, decided_depth=1, lines=20))
    assert [line.rstrip() for line in written(console).splitlines()] == [
        "root, 2 tokens",
        "├── -0.10 Count them all  (1 child)",
        "│   └── -0.20 The answer is 8  → 8",
        "├── -0.50 No  (eos)",
        "└── ✂ 1 pruned",
    ]


def test_a_tree_that_is_too_tall_loses_its_deepest_levels() -> None:
    console = screen()
    console.print(draw_tree(story()[1].tree, decided_depth=1, lines=2))
    assert "The answer is 8" not in written(console)


def test_the_live_view_ends_with_the_finished_question() -> None:
    console = screen(terminal=True)
    events, _ = story()
    with LiveView(console) as view:
        for event in events[:-1]:
            view.observe(event)
        console.print(view.drawing())
        view.observe(events[-1])
        console.print(view.drawing())
    text = written(console)
    assert "How many apples?" in text
    assert "answer 8 (8 is right), 1.5 s" in text


def test_the_bar_counts_questions_steps_and_what_was_right() -> None:
    console = screen(terminal=True)
    with ProgressView(console, 2) as view:
        for event in story()[0]:
            view.observe(event)
        view.observe(SearchEnded(1, replace(story()[1], is_correct=False, error=ValueError("no"))))
        console.print(view.drawing())
    text = written(console)
    assert "2/2" in text
    assert "4 steps, 1 of 2 right, 1 failed" in text


def test_the_bar_of_a_resumed_run_is_what_is_left() -> None:
    console = screen(terminal=True)
    with ProgressView(console, 5) as view:
        for number in (0, 2, 4):
            view.observe(SearchEndedBefore(number, QUESTION, EndEntry(number, "8", "done", 1.0)))
        view.observe(SearchEnded(1, story()[1]))
        console.print(view.drawing())
    text = written(console)
    assert "1/2" in text
    assert "3 done before" in text


@pytest.mark.parametrize(("text", "line"), [("a\n b", "a b"), ("x" * 12, "x" * 9 + "…"), ("", "")])
def test_one_line_cuts_and_joins(text: str, line: str) -> None:
    assert one_line(text, 10) == line


def test_one_is_no_plural() -> None:
    assert [counted(number, "step") for number in (0, 1, 2)] == ["0 steps", "1 step", "2 steps"]


def test_the_table_has_a_row_a_question_and_the_totals() -> None:
    console = screen()
    run = RunResult({0: story()[1]}, not_started=2, metrics=None, seconds=2.0)
    console.print(result_table(run))
    text = written(console)
    assert "right" in text
    assert "2 more questions did not fit into the budget." in text


def test_samples_that_were_lost_are_told() -> None:
    console = screen()
    run = RunResult({0: replace(story()[1], lost=2), 1: story()[1]}, not_started=0, metrics=None, seconds=2.0)
    console.print(result_table(run))
    said = " ".join(written(console).split())
    assert "2 samples became no step: too long and dropped, broken, or stopped early." in said
    assert [entry["lost"] for entry in as_json(run)["questions"]] == [2, 0]


def test_a_resumed_run_is_not_measured_by_what_earlier_sessions_paid_for() -> None:
    run = RunResult({0: story()[1]}, not_started=0, metrics=ServerMetrics(3, 9, 4, 0, 0), seconds=2.0)
    said = {}
    for is_resumed in (False, True):
        console = screen()
        console.print(result_table(run, is_resumed=is_resumed))
        said[is_resumed] = " ".join(written(console).split())
    assert "it prefilled 3 tokens, 0.600 times the least, and reused 9." in said[False]
    assert "count since the run was resumed: it prefilled 3 tokens and reused 9." in said[True]


def test_the_data_says_what_the_server_did_not_count() -> None:
    data = as_json(RunResult({0: story()[1]}, not_started=0, metrics=None, seconds=2.0))
    assert data["server"] is None
    (question,) = data["questions"]
    assert (question["answer"], question["is_correct"], question["generated_tokens"]) == ("8", True, 4)
    assert question["least_prefilled_tokens"] == data["least_prefilled_tokens"] == 2 + 3
