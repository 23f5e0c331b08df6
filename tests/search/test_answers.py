"""Answers: found in new text, compared as numbers, elected by weight."""

from __future__ import annotations

import pytest

from ets_client import load_profile
from ets_client.search import find_answer, is_same_answer, weighted_vote


@pytest.mark.parametrize(
    ("profile", "text", "answer"),
    [
        ("smollm2", "The answer is 12", "12"),
        ("smollm2", "The answer is 5 + 3 = 8 apples.", "8"),
        ("smollm2", "the answer is: $1,200.50.", "1,200.50"),
        ("smollm2", "The answer is -3", "-3"),
        ("smollm2", "In the bags there are 12 nuts.", None),
        ("smollm2", "The answer is unknown.", None),
        ("llemma", "The answer is: 3/4 ки", "3/4"),
        ("mistral", "so 5. The answer is: 5", "5"),
        ("llama3", r"Therefore, the final answer is: $\boxed{\frac{1}{2}}$.", r"\frac{1}{2}"),
    ],
)
def test_a_profile_finds_its_own_form_of_answer(profile: str, text: str, answer: str | None) -> None:
    pattern = load_profile(profile).answer
    assert pattern is not None
    assert find_answer(pattern.pattern, text) == answer


def test_the_last_of_several_answers_counts() -> None:
    assert find_answer(r"is (\d+)", "is 1, no, is 2") == "2"


def test_the_group_that_matched_is_the_answer() -> None:
    assert find_answer(r"A: (\w+)|B: (\w+)", "B: yes") == "yes"


def test_an_empty_group_is_no_answer() -> None:
    assert find_answer(r"is ?(\d*)", "it is") is None


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("12", "12.0", True),
        ("1,200", "1200", True),
        ("$5", "5", True),
        ("Half  a cup.", "half a cup", True),
        ("12", "13", False),
        ("nan", "NaN", True),
        ("0", "-0", True),
        ("1e999999999", "2", False),
        ("1e999999999", "1e999999999.", True),
        ("-1e-999999999", "0", False),
        ("1" + 30 * "0", "1" + 29 * "0" + "1", False),
    ],
)
def test_answers_are_compared_as_numbers_and_else_as_words(one: str, two: str, *, same: bool) -> None:
    assert is_same_answer(one, two) is same


def test_equal_answers_add_their_weights() -> None:
    assert weighted_vote([("7", 0.5), ("12", 0.3), ("12.0", 0.3)]) == "12"


def test_numbers_of_any_size_vote() -> None:
    assert weighted_vote([("1e999999999", 0.5), ("7", 0.4), ("10e999999998", 0.1)]) == "1e999999999"


def test_the_first_stated_wins_a_tie() -> None:
    assert weighted_vote([("b", 0.5), ("a", 0.5)]) == "b"


def test_without_votes_there_is_no_winner() -> None:
    assert weighted_vote([]) is None
