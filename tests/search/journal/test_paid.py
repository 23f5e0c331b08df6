from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ets_client.search.journal import (
    MISSING,
    DecisionEntry,
    EndEntry,
    Entry,
    Paid,
    PaidQuestion,
    RunEntry,
    ScoresEntry,
)

from .lines import question, steps


def test_lines_are_kept_by_question_and_unknown_ones_are_none() -> None:
    paid = Paid.of([RunEntry(1, {}), question(0), question(3), EndEntry(3, "2", "done", 2.0)])
    assert (list(paid), len(paid)) == ([0, 3], 2)
    assert paid.question(1) is None
    begun, ended = paid.question(0), paid.question(3)
    assert begun is not None
    assert ended is not None
    assert (begun.root, begun.ended) == (question(0), None)
    assert ended.ended == EndEntry(3, "2", "done", 2.0)


def test_a_search_that_was_ended_twice_ended_as_it_did_last() -> None:
    paid = PaidQuestion([question(), EndEntry(0, None, "run seconds", 1.0), EndEntry(0, "2", "done", 2.0)])
    assert paid.ended == EndEntry(0, "2", "done", 2.0)


def test_a_search_took_as_long_as_its_samples_were_under_way_whatever_lies_between_its_sessions() -> None:
    assert PaidQuestion([question()]).seconds == 0.0
    first = [steps("r", "a", at=12.0, seconds=2.0), steps("r.0", "b", at=16.0, seconds=3.0)]
    beside = [steps("r", "c", first=1, at=15.0, seconds=1.5)]
    next_day = [steps("r.0", "d", first=1, at=86_400.5, seconds=0.5)]
    assert PaidQuestion([question(), *first, *beside, *next_day]).seconds == 2.0 + 3.0 + 0.5


def test_an_end_tells_the_time_until_then_and_what_came_after_it_counts_besides() -> None:
    begun: list[Entry] = [question(), steps("r", "a", at=12.0, seconds=2.0), EndEntry(0, None, "run seconds", 2.5)]
    assert PaidQuestion(begun).seconds == 2.5
    assert PaidQuestion([*begun, steps("r.0", "b", at=60.0, seconds=4.0)]).seconds == 6.5


def test_decisions_are_found_by_turn() -> None:
    first, second = DecisionEntry(0, 0, 0, [("r", 2)]), DecisionEntry(0, 1, 1, [("r.0", 2)])
    paid = PaidQuestion([question(), second, first])
    assert paid.decision(0) == first
    assert paid.decision(2) is None
    assert paid.decisions == [first, second]


def test_of_two_decisions_of_a_turn_the_first_was_used() -> None:
    first, second = DecisionEntry(0, 0, 0, [("r", 2)]), DecisionEntry(0, 0, 0, [("r", 3)])
    assert PaidQuestion([question(), first, second]).decisions == [first]


def test_a_score_is_there_absent_for_a_reason_or_missing() -> None:
    paid = PaidQuestion([ScoresEntry(0, ["r.0", "r.1", "r.2"], [0.5, None, None], {1: "too long"})])
    assert paid.scores("r.0") == 0.5
    assert (paid.scores("r.1"), paid.reason("r.1")) == (None, "too long")
    assert (paid.scores("r.2"), paid.reason("r.2")) == (None, "")
    assert (paid.scores("r.3"), paid.reason("r.3")) == (MISSING, "")


def test_of_samples_that_came_out_alike_one_score_is_that_of_all() -> None:
    paid = PaidQuestion(
        [
            steps("r", "a", "b", "a", "c", "b"),
            steps("r.0", "a"),
            ScoresEntry(0, ["r.2", "r.1"], [0.5, None], {1: "too long"}),
        ]
    )
    assert [paid.scores(f"r.{place}") for place in range(6)] == [0.5, None, 0.5, MISSING, None, MISSING]
    assert [paid.reason(f"r.{place}") for place in range(6)] == ["", "too long", "", "", "too long", ""]
    assert (paid.scores("r.0.0"), paid.scores("r"), paid.scores("r.7.1")) == (MISSING, MISSING, MISSING)


def test_of_two_results_for_one_place_the_first_was_used() -> None:
    paid = PaidQuestion(
        [
            steps("r", "a", "b"),
            steps("r", "x", "y", "z"),
            ScoresEntry(0, ["r.0"], [1.0]),
            ScoresEntry(0, ["r.0"], [2.0]),
        ]
    )
    assert [each.text for entry in paid.steps("r", 0, 3) for each in entry.steps] == ["a", "b", "z"]
    assert paid.scores("r.0") == 1.0


def test_a_part_of_an_entry_has_the_seed_of_its_first_sample_and_no_warming_twice() -> None:
    entry = msgspec.structs.replace(steps("r", "a", "b", "c", "d", first=4, at=3.0), warm_prompt=9, warm_cached=2)
    paid = PaidQuestion([entry])
    assert paid.steps("r", 4, 4) == [entry]
    (head,), (tail,) = paid.steps("r", 0, 6), paid.steps("r", 6, 9)
    assert (head.first, head.request["seed"], head.warm_prompt, head.steps) == (4, 70, 9, entry.steps[:2])
    assert (tail.first, tail.request["seed"], tail.warm_prompt, tail.warm_cached) == (6, 72, 0, 0)
    assert tail.steps == entry.steps[2:]
    assert entry.request["seed"] == 70


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(1, 4)), max_size=6), st.integers(0, 14), st.integers(0, 8)
)  # fmt: skip
def test_steps_are_exactly_the_places_that_were_asked_for_and_paid_for(
    blocks: list[tuple[int, int]], first: int, n: int
) -> None:
    entries = [steps("r", *(f"{first}+{k}" for k in range(count)), first=first) for first, count in blocks]
    bought = {place for begin, count in blocks for place in range(begin, begin + count)}
    found = PaidQuestion(entries).steps("r", first, n)
    places = [entry.first + k for entry in found for k in range(len(entry.steps))]
    assert places == sorted(bought & set(range(first, first + n)))
    assert all(f"rid-{each.text}" == each.rid for entry in found for each in entry.steps)
    assert PaidQuestion(found).steps("r", first, n) == found


def test_another_node_has_none_of_it() -> None:
    assert PaidQuestion([steps("r", "a")]).steps("r.0", 0, 4) == []
