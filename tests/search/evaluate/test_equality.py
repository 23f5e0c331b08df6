"""What text alone settles, and classes of answers."""

from __future__ import annotations

import pytest

from ets_client.search.evaluate.equality import answer_classes, settled


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("12", "12.0"),
        ("1,200", "1200"),
        ("$12", "12"),
        ("yes", "Yes."),
        (r"\text{east}", "east"),
        ("$7$", "7"),
        ("", ""),
    ],
)
def test_text_settles_that_answers_are_the_same(one: str, two: str) -> None:
    assert settled(one, two) is True


@pytest.mark.parametrize(
    ("one", "two"), [("12", "13"), ("east", "seat"), ("yes", "no"), ("", "1"), ("no solution", "7")]
)
def test_text_settles_that_answers_differ(one: str, two: str) -> None:
    assert settled(one, two) is False


@pytest.mark.parametrize(
    ("one", "two"), [("1/2", "0.5"), ("x", "y"), (r"\sqrt{12}", "2"), ("0.3333333", "1/3"), ("5.0", "6")]
)
def test_mathematics_is_left_to_others(one: str, two: str) -> None:
    assert settled(one, two) is None


def test_answers_join_the_first_class_whose_first_member_they_equal() -> None:
    asked: list[tuple[str, str]] = []

    def is_same(one: str, two: str) -> bool:
        asked.append((one, two))
        return one[0] == two[0]

    found = answer_classes(["a1", "b1", "a2", "a1", "c", "b1"], is_same)
    assert found.names == ("a1", "b1", "c")
    assert found.class_of == {"a1": 0, "b1": 1, "a2": 0, "c": 2}
    assert asked == [("b1", "a1"), ("a2", "a1"), ("c", "a1"), ("c", "b1")]  # each distinct text once
