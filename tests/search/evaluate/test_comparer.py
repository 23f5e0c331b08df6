"""math-verify in a process of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from ets_client import ConfigurationError
from ets_client.search.evaluate.comparer import Comparer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def comparer() -> Iterator[Comparer]:
    with Comparer() as opened:
        yield opened


SAME = [
    (r"\frac{1}{2}", "0.5"), (r"2\sqrt{3}", r"\sqrt{12}"), ("(1,2)", "(1, 2)"), ("x=3", "3"), (r"50\%", "0.5"),
    (r"\boxed{3/4}", "0.75"), (r"x^2+2x+1", r"(x+1)^2"), ("1,200", r"1{,}200"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "two"), SAME)
def test_what_is_the_same_mathematics_is_the_same_answer(comparer: Comparer, one: str, two: str) -> None:
    assert comparer(one, two)
    assert comparer(two, one)


@pytest.mark.parametrize(
    ("one", "two"), [("1/2", "1/3"), ("(1,2)", "(2,1)"), (r"\sqrt{2}", "1.4"), ("x", "y"), ("{", "}")]
)
def test_what_is_not_is_not(comparer: Comparer, one: str, two: str) -> None:
    assert not comparer(one, two)


def test_it_is_asked_from_any_thread(comparer: Comparer) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda pair: comparer(*pair), SAME * 5))


def test_a_comparison_that_takes_too_long_is_a_no_and_the_next_one_works() -> None:
    tower = ("9^{9^{9^{9^8}}}", "9^{9^{9^{9^9}}}")  # more time or more memory than there is
    with ThreadPoolExecutor(1) as pool, Comparer(seconds=2) as opened:  # no signal reaches that thread
        assert not pool.submit(opened, *tower).result()
        assert opened.given_up == [tower]
        assert not pool.submit(opened, *tower).result()
        assert len(opened.given_up) == 1  # it is not tried again
        assert pool.submit(opened, "1/2", "0.5").result()
        assert len(opened.given_up) == 1


def test_only_arithmetic_reaches_sympy(comparer: Comparer) -> None:
    assert comparer.is_zero("(1/2)-(0.5)")
    assert comparer.is_zero("(sqrt(12))-(2*sqrt(3))")
    assert comparer.is_zero("(2*x)-(x+x)")
    assert not comparer.is_zero("(1)-(2)")
    for text in ("__import__('os')", "(a.b)-(1)", "(open('x'))-(1)", "[].a", "(x for x in x)", "lambda:0"):
        assert not comparer.is_zero(text)


def test_it_says_what_to_install_when_math_verify_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "math_verify.py").write_text("raise ModuleNotFoundError(\"No module named 'math_verify'\")")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    with Comparer() as opened, pytest.raises(ConfigurationError, match=r"No module named .*pip install \"ets-client"):
        opened("1/2", "0.5")


def test_a_comparison_needs_some_time() -> None:
    with pytest.raises(ConfigurationError, match="seconds = 0"):
        Comparer(seconds=0)
