"""The grader that ETS and REBASE were published with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ets_client.search.evaluate.comparer import Comparer
from ets_client.search.evaluate.published_grader import PublishedGrader, plain_form, textbook_form

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def grader() -> Iterator[PublishedGrader]:
    with Comparer() as comparer:
        yield PublishedGrader(comparer.is_zero)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("12", "12"), ("12.0", "12"), ("1,200", "1200"), (r"\frac12", r"\frac{1}{2}"), (r"\dfrac{1}{2}", "1/2"),
        ("0.5", r"\frac{1}{2}"), ("x=3", "3"), (r"12\text{ cm}", "12"), ("12 meters", "12"), (r"50\%", "50"),
        (r"30^\circ", "30"), ("YES", "yes"), (r"\text{east}", "east"), ("(1, 2)", "(1,2)"),
        (r"2\sqrt{3}", r"\sqrt{12}"),
        ("2+3x", "3x+2"), (r"7\frac{3}{4}", "7 3/4"), ("2 million", "2*10^6"),
    ],
)  # fmt: skip
def test_the_same(grader: PublishedGrader, given: str, expected: str) -> None:
    assert grader(given, expected)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("12", "13"), ("4/2", "2"), ("2/4", "1/2"), ("0.50", "1/3"), ("(1,2)", "[1,2]"), ("(1,2)", "(1,2,3)"),
        ("", "5"),
        ("x+y+z", "z+y+x"), ("2^{10}", "1024"), ("2^100", "4^50"), ("[invalid]", "7"), ("None", "7"),
    ],
)  # fmt: skip
def test_not_the_same(grader: PublishedGrader, given: str, expected: str) -> None:
    assert not grader(given, expected)


def test_forms() -> None:
    assert textbook_form(r"\left( 1, \tfrac34 \right)") == r"(1,\frac{3}{4})"
    assert textbook_form(".5") == textbook_form("0.5") == r"\frac{1}{2}"
    assert plain_form(r"\frac{1}{2} \cdot \pi") == "1/2*pi"
    assert plain_form("1,234,567") == "1234567"
    assert plain_form("1,2") == "1,2"
    assert plain_form("7.0") == "7"
