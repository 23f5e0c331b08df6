"""Runs graded."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client import ConfigurationError
from ets_client.search.evaluate import RULES, Aggregation, Evaluation, Grader, Rule, Scale, Vote, evaluate_run
from ets_client.search.loaded import LoadedQuestion, LoadedRun
from ets_client.search.methods import NodeState

from ..made_runs import MANIFEST, by_hand, made_node, made_question, made_run

VOTE, ANY = Rule(Vote.VOTE), Rule(Vote.ANY)
LAST, BEST = Rule(Vote.WEIGHTED, Aggregation.LAST), Rule(Vote.BEST, Aggregation.LAST)


def answered(*answers: tuple[str, float], **fields: object) -> LoadedQuestion:
    """A question whose answers arrive in this order."""
    nodes = [
        made_node(f"r.{place}", number=place + 1, answer=answer, score=score, at=float(place), state=NodeState.ENDED)
        for place, (answer, score) in enumerate(answers)
    ]
    return by_hand([made_node("r"), *nodes], [{"r": len(answers)}], **fields)


def run_of(*questions: LoadedQuestion) -> LoadedRun:
    return LoadedRun(MANIFEST, dict(enumerate(questions)), 0)


def share(evaluation: Evaluation, rule: Rule, answers: int | None = None, grader: Grader = Grader.MATH) -> float:
    return evaluation.accuracy(rule, answers, grader).share.value


def test_rules_choose_among_the_first_n_answers_in_order_of_arrival() -> None:
    found = evaluate_run(run_of(answered(("3", 0.9), ("2", 0.2), ("2", 0.3), ("3", 0.1), answer="3")))
    assert [share(found, VOTE, n) for n in (1, 2, 4, None)] == [0.0, 0.0, 0.0, 0.0]  # 2 against 2: stated first
    assert [share(found, LAST, n) for n in (1, 2, 4)] == [0.0, 0.0, 0.0]
    assert [share(found, ANY, n) for n in (1, 2, 4)] == [0.0, 1.0, 1.0]
    assert found.recorded.value == 0.0
    found = evaluate_run(run_of(answered(("3", 0.1), ("2", 0.9), ("1+1", 0.05))))
    assert [share(found, VOTE, n) for n in (1, 2, None)] == [0.0, 0.0, 1.0]
    assert [share(found, BEST, n) for n in (1, 2, None)] == [0.0, 1.0, 1.0]
    assert found.questions[0].classes[1].votes == 2


def test_an_answer_that_was_sampled_m_times_counts_m_times() -> None:
    nodes = [made_node("r.0", answer="3", score=0.5), made_node("r.1", answer="2", score=0.4, multiplicity=2, at=1.0)]
    found = evaluate_run(run_of(by_hand([made_node("r"), *nodes])))
    assert (share(found, VOTE), share(found, LAST), share(found, BEST)) == (1.0, 1.0, 0.0)
    assert (share(found, VOTE, 2), found.questions[0].answers) == (0.0, 3)


def test_a_question_without_answers_is_wrong_and_one_with_few_takes_part_with_those() -> None:
    found = evaluate_run(run_of(answered(("2", 1.0), ("2", 1.0)), answered(), answered(("2", 0.5))))
    assert found.accuracy(VOTE, 2).questions == 1
    assert found.accuracy(VOTE, 2).share.value == pytest.approx(2 / 3)
    assert found.accuracy(VOTE).questions == 3


def test_questions_that_have_not_ended_or_have_no_known_answer_are_left_out() -> None:
    found = evaluate_run(
        run_of(answered(("2", 1.0)), answered(("2", 1.0), why=None), answered(("2", 1.0), expected=None))
    )
    assert (len(found.questions), found.graded, found.unfinished) == (2, 1, 1)
    assert found.questions[1].is_right is None
    assert found.questions[1].classes[0].is_right is None
    assert share(found, VOTE) == 1.0


def test_a_run_with_nothing_to_grade_has_no_accuracy() -> None:
    found = evaluate_run(run_of(answered(("2", 1.0), expected=None)))
    assert math.isnan(share(found, VOTE))
    assert math.isnan(found.recorded.value)
    assert math.isnan(evaluate_run(run_of()).recorded.value)


def test_the_published_evaluator_can_elect_what_it_cannot_read_and_ours_cannot() -> None:
    question = answered(("2", 0.9))
    silent = [made_node(f"r.{place}", state=NodeState.ENDED, score=0.8) for place in (1, 2)]
    found = evaluate_run(run_of(by_hand([*question.nodes.values(), *silent])))
    assert share(found, LAST) == share(found, VOTE) == 1.0
    assert share(found, LAST, None, Grader.PUBLISHED) == share(found, VOTE, None, Grader.PUBLISHED) == 0.0
    assert share(found, BEST, None, Grader.PUBLISHED) == 1.0


def test_the_two_graders_differ_where_the_published_one_is_strict() -> None:
    found = evaluate_run(run_of(answered(("4/2", 0.9))))
    assert (share(found, VOTE), share(found, VOTE, None, Grader.PUBLISHED)) == (1.0, 0.0)


def test_negative_scores_are_log_probabilities_or_logits() -> None:
    found = evaluate_run(run_of(answered(("3", -2.0), ("2", -0.1))))
    assert (found.scale, share(found, LAST), share(found, BEST)) == (Scale.EXP, 1.0, 1.0)
    found = evaluate_run(run_of(answered(("3", -2.0), ("2", 0.5))))
    assert (found.scale, share(found, LAST)) == (Scale.SIGMOID, 1.0)
    found = evaluate_run(run_of(answered(("3", -0.1), ("2", 0.5))), scale=Scale.RECORDED)
    assert found.scale is Scale.RECORDED


def test_random_subsets_are_drawn_with_the_seed_and_leave_all_answers_as_they_are() -> None:
    run = run_of(answered(("3", 0.1), ("2", 0.9), ("2", 0.9), ("2", 0.9)))
    first = evaluate_run(run, draws=400, seed=1)
    assert share(first, VOTE, 1) == pytest.approx(0.75, abs=0.08)
    assert share(first, VOTE) == 1.0
    assert evaluate_run(run, draws=400, seed=1) == first
    assert evaluate_run(run, draws=0, seed=1).accuracy(VOTE, 1).share.value == 0.0


def test_a_gain_is_measured_on_the_questions_that_both_runs_have() -> None:
    one = run_of(*(answered((answer, 0.5), problem=f"question {place}") for place, answer in enumerate("2222")))
    other = run_of(*(answered((answer, 0.5), problem=f"question {place}") for place, answer in enumerate("2233")))
    more = run_of(*other.questions.values(), answered(("3", 0.5), problem="only here"))
    gain = evaluate_run(one).gain_over(evaluate_run(more), VOTE)
    assert (gain.value, gain.low > -1e-9, gain.high < 1.0 + 1e-9) == (0.5, True, True)
    assert math.isnan(evaluate_run(one).gain_over(evaluate_run(run_of()), VOTE).value)


def test_a_question_that_a_run_has_twice_is_compared_with_itself() -> None:
    one = evaluate_run(run_of(*(answered((answer, 0.5), problem="again") for answer in "2323")))
    other = evaluate_run(run_of(*(answered((answer, 0.5), problem="again") for answer in "223")))
    assert one.gain_over(one, VOTE) == (0.0, 0.0, 0.0)
    assert one.gain_over(other, VOTE).value == 0.0  # right, wrong, right against right, right, wrong


def test_the_runs_own_answer_is_graded_as_others_are() -> None:
    found = evaluate_run(run_of(answered(("4/2", 0.9), answer="4/2"), answered(("3", 0.9), answer="3")))
    assert [question.is_right for question in found.questions] == [True, False]
    assert found.recorded.value == 0.5


def test_costs_are_those_of_the_journal() -> None:
    run = made_run(3, width=4, depth=3)
    found = evaluate_run(run)
    for question in found.questions:
        loaded = run.questions[question.number]
        assert question.costs.generated_tokens == loaded.usage.completion_tokens
        assert question.costs.samples >= len(loaded.nodes) - 1
        assert question.costs.peak_kv >= question.costs.mean_kv > 0
    assert found.mean_costs()["seconds"] == pytest.approx(sum(each.costs.seconds for each in found.questions) / 3)


@given(st.integers(0, 500))
def test_no_rule_is_better_than_the_right_answer_being_there(seed: int) -> None:
    run = run_of(made_question(seed=seed, width=6, depth=4))
    found = evaluate_run(run, is_same=lambda one, two: one == two, resamples=10)
    for n in (1, None):
        best = share(found, ANY, n)
        assert all(share(found, rule, n) <= best for rule in RULES)


def test_an_own_equality_can_be_given() -> None:
    assert (
        share(evaluate_run(run_of(answered(("two", 1.0))), is_same=lambda one, two: {one, two} == {"two", "2"}), VOTE)
        == 1
    )


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="draws = -1"):
        evaluate_run(run_of(), draws=-1)
    with pytest.raises(ConfigurationError, match="resamples = 0"):
        evaluate_run(run_of(), resamples=0)


def test_what_was_not_evaluated_is_named() -> None:
    with pytest.raises(KeyError, match="vote at 64"):
        evaluate_run(run_of()).accuracy(VOTE, 64)
