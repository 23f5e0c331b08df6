"""A run read back: nodes, numbers, doubles, usage; lazily, and also while it is being written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ets_client.search.children import TreeRules
from ets_client.search.journal import (
    DecisionEntry,
    EndEntry,
    Entry,
    JournalDamagedError,
    JournalError,
    RunEntry,
    ScoresEntry,
    StepsEntry,
    load_run,
)
from ets_client.search.methods import NodeState
from ets_client.usage import Usage

from .lines import journal, manifest, question, step, steps

if TYPE_CHECKING:
    from pathlib import Path

    from ets_client.search.loaded import LoadedQuestion

TREE: list[Entry] = [
    question(),
    DecisionEntry(0, 0, 0, [("r", 4)], notes={"why": "begin"}),
    # Streams bring them in any order, also that of two sessions.
    steps("r", "b", first=2, at=1.0),
    steps("r", "a", "b", first=0, at=2.0, seconds=1.5),
    ScoresEntry(0, ["r.2"], [0.2], prompt=30, cached=20),
    ScoresEntry(0, ["r.0"], [None], {0: "too long"}, prompt=5),
    StepsEntry(0, "r", 3, [step("lost", failed="dropped")], {"plan": "batch"}, warm_prompt=7, warm_cached=3),
    DecisionEntry(0, 1, 1, [("r.1", 1), ("r.0", 2)]),
    steps("r.0", "the answer is 2", "c", at=4.0),
    ScoresEntry(0, ["r.0.0", "r.0.1"], [0.9, 0.1]),
    steps("r.1", "d", at=3.0),
    ScoresEntry(0, ["r.1.0"], [0.5]),
    DecisionEntry(0, 2, 1, [("r.1", 1)]),
    steps("r.1", "d", first=1, at=5.0, seconds=1.0),
]


def write(tmp_path: Path, *entries: Entry, rules: TreeRules | None = None) -> Path:
    first = manifest() if rules is None else manifest(rules=rules)
    (tmp_path / "journal.jsonl").write_bytes(journal([RunEntry(1, first.as_json()), *entries]))
    return tmp_path


def loaded(tmp_path: Path, *entries: Entry, rules: TreeRules | None = None) -> LoadedQuestion:
    return load_run(write(tmp_path, *entries, rules=rules)).questions[0]


def test_nodes_are_numbered_in_the_order_in_which_they_were_asked_for(tmp_path: Path) -> None:
    tree = loaded(tmp_path, *TREE)
    assert [(node.number, node.id, node.text) for node in tree.nodes.values()] == [
        (0, "r", "Q: 1 + 1?"), (1, "r.0", "a"), (2, "r.1", "b"), (3, "r.1.0", "d"), (4, "r.0.0", "the answer is 2"),
        (5, "r.0.1", "c"),
    ]  # fmt: skip
    assert {node.id: node.children for node in tree.nodes.values() if node.children} == {
        "r": ("r.0", "r.1"), "r.1": ("r.1.0",), "r.0": ("r.0.0", "r.0.1"),
    }  # fmt: skip
    assert {node.id: node.given for node in tree.nodes.values() if node.given} == {"r": 4, "r.0": 2, "r.1": 2}
    assert [node.depth for node in tree.nodes.values()] == [0, 1, 1, 2, 2, 2]
    assert [node.id for node in tree.path(tree.nodes["r.1.0"])] == ["r", "r.1", "r.1.0"]


def test_without_levels_they_are_numbered_in_the_order_in_which_decisions_followed_them(tmp_path: Path) -> None:
    entries: list[Entry] = [
        question(), DecisionEntry(0, 0, 0, [("r", 4)]), steps("r", "b", first=2), steps("r", "a", first=0),
        ScoresEntry(0, ["r.0", "r.2"], [0.3, 0.2]), DecisionEntry(0, 1, 1, [], notes={"after": "r.2"}),
        steps("r", "b", first=1), DecisionEntry(0, 2, 1, [], notes={"after": "r.1"}),
        steps("r", "twice", "c", first=2),
        DecisionEntry(0, 3, 1, [("r.2", 1)], notes={"after": "r.0"}),
        steps("r.2", "d"), ScoresEntry(0, ["r.2.0"], [0.1]),
    ]  # fmt: skip
    tree = loaded(tmp_path, *entries, rules=TreeRules(max_path_tokens=100, by_level=False))
    assert list(tree.nodes) == ["r", "r.2", "r.0", "r.2.0", "r.3"]
    assert tree.nodes["r.2"].multiplicity == 2


def test_doubles_are_one_node_with_their_one_score_and_all_votes(tmp_path: Path) -> None:
    tree = loaded(tmp_path, *TREE)
    assert {node.id: node.multiplicity for node in tree.nodes.values()} == {
        "r": 1, "r.0": 1, "r.1": 2, "r.1.0": 2, "r.0.0": 1, "r.0.1": 1,
    }  # fmt: skip
    assert tree.nodes["r.1"].score == 0.2  # that of r.2, which came first
    assert tree.step_scores(tree.nodes["r.1.0"]) == [0.2, 0.5]


def test_a_node_has_the_request_that_made_it(tmp_path: Path) -> None:
    tree = loaded(tmp_path, *TREE)
    assert tree.nodes["r.0.0"].request == {"seed": 70, "plan": "batch"}
    assert tree.nodes["r.0.1"].request == {"seed": 71, "plan": "batch"}
    assert tree.nodes["r.0.1"].rid == "rid-c"
    assert tree.nodes["r.0.1"].token_ids == (ord("c"),)
    assert (tree.nodes["r.1"].at, tree.nodes["r.1.0"].at, tree.nodes["r"].at) == (2.0, 3.0, 0.0)
    assert (tree.nodes["r"].rid, tree.nodes["r"].request) == ("", {})


def test_states_answers_and_reasons_are_told(tmp_path: Path) -> None:
    tree = loaded(tmp_path, *TREE, DecisionEntry(0, 3, 2, [("r.1.0", 1)]), steps("r.1.0", "x" * 99))
    assert [node.id for node in tree.answered()] == ["r.0.0"]
    assert {node.id: node.state for node in tree.nodes.values() if node.state is not NodeState.OPEN} == {
        "r.0.0": NodeState.ENDED, "r.1.0.0": NodeState.SPENT,
    }  # fmt: skip
    assert (tree.nodes["r.0"].score, tree.nodes["r.0"].score_failure) == (None, "too long")
    assert (tree.nodes["r.1.0.0"].score, tree.nodes["r.1.0.0"].score_failure) == (None, "it was not scored")
    assert tree.nodes["r.1"].score_failure is None
    assert (tree.decisions[0].children, tree.decisions[0].notes) == ({"r": 4}, {"why": "begin"})


def test_all_tokens_are_accounted_for_once(tmp_path: Path) -> None:
    tree = loaded(tmp_path, *TREE)
    assert tree.warm_usage == Usage(7, 3, 0)
    assert tree.scoring_usage == Usage(35, 20, 0)
    assert tree.unused_usage == Usage(30, 24, len("b") + len("lost") + len("d"))  # two doubles and a dropped one
    paid = [each for entry in TREE if isinstance(entry, StepsEntry) for each in entry.steps]
    assert tree.usage == Usage(7 + 10 * len(paid), 3 + 8 * len(paid), sum(each.generated for each in paid))


def test_the_request_of_a_step_that_was_continued_tells_how_many_there_were(tmp_path: Path) -> None:
    made = StepsEntry(0, "r", 0, [step("a"), step("b", pieces=3)], {"seed": 70, "plan": "batch"})
    tree = loaded(tmp_path, question(), DecisionEntry(0, 0, 0, [("r", 2)]), made)
    assert tree.nodes["r.0"].request == {"seed": 70, "plan": "batch"}
    assert tree.nodes["r.1"].request == {"seed": 71, "plan": "batch", "pieces": 3}


def test_a_search_that_has_not_ended_has_no_answer_yet(tmp_path: Path) -> None:
    going_on = loaded(tmp_path, *TREE)
    assert (going_on.answer, going_on.why, going_on.seconds) == (None, None, 2.5)
    ended = loaded(tmp_path, *TREE, EndEntry(0, "2", "done", 6.5))
    assert (ended.answer, ended.why, ended.seconds, ended.expected, ended.problem) == ("2", "done", 6.5, "2", "1 + 1?")


def test_questions_are_in_order_of_number_and_read_when_they_are_looked_at(tmp_path: Path) -> None:
    many = [question(number) for number in (3, 1, *range(4, 20))]
    run = load_run(write(tmp_path, *many))
    assert list(run.questions) == [1, 3, *range(4, 20)]
    assert (len(run.questions), 3 in run.questions, 2 in run.questions) == (18, True, False)
    assert run.questions[1] is run.questions[1]
    first = run.questions[1]
    assert [each.number for each in run.questions.values()] == list(run.questions)
    assert run.questions[1] is not first  # it was forgotten meanwhile
    with pytest.raises(KeyError):
        run.questions[2]


def test_a_run_that_is_being_written_is_read_up_to_its_last_whole_line(tmp_path: Path) -> None:
    write(tmp_path, *TREE)
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(b"0123")
        file.flush()
        run = load_run(tmp_path)
        assert run.cut == 1
        assert len(run.questions[0].nodes) == 6
    assert run.manifest == run.sessions[0] == manifest().as_json()


def test_damage_in_the_middle_is_told_and_can_be_cut(tmp_path: Path) -> None:
    data = journal([RunEntry(1, manifest().as_json()), question(0), question(1), question(2)])
    (tmp_path / "journal.jsonl").write_bytes(data.replace(b'"question":1', b'"question":9'))
    with pytest.raises(JournalDamagedError, match="line 3"):
        load_run(tmp_path)
    run = load_run(tmp_path, cut=True)
    assert (list(run.questions), run.cut) == ([0], 2)


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ([], "does not tell what ran"),
        ([RunEntry(1, {"method": []})], "is none of this version's"),
        ([RunEntry(2, {})], "newer version"),
    ],
)
def test_what_is_no_run_is_refused(tmp_path: Path, entries: list[Entry], says: str) -> None:
    (tmp_path / "journal.jsonl").write_bytes(journal(entries))
    with pytest.raises(JournalError, match=says):
        load_run(tmp_path)


def test_a_folder_without_a_journal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="is this the folder of a run"):
        load_run(tmp_path)
    (tmp_path / "journal.jsonl").mkdir()
    with pytest.raises(JournalError, match="Is a directory"):
        load_run(tmp_path)


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ([steps("r", "a")], "none that tells how it began"),
        ([question(), DecisionEntry(0, 0, 0, [("r.7", 1)]), steps("r.7", "a")], "r.7 is no node of this journal"),
    ],
)
def test_lines_that_do_not_belong_together_are_refused(tmp_path: Path, entries: list[Entry], says: str) -> None:
    with pytest.raises(JournalError, match=says):
        loaded(tmp_path, *entries)


def test_a_journal_that_changes_under_a_reader_is_noticed(tmp_path: Path) -> None:
    run = load_run(write(tmp_path, question(0)))
    write(tmp_path, question(0), rules=TreeRules(max_path_tokens=1))
    with pytest.raises(JournalError, match="has changed since it was opened"):
        run.questions[0]
