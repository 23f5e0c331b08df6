"""When two answers are the same for the published evaluator: PRM800K's grader, which it uses, its rules written anew.

LaTeX is turned into plain text by a few rules here (fractions, roots, products, pi, infinity), where the original has a
package for it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PublishedGrader", "plain_form", "textbook_form"]

_UNITS = (
    r"(?:degree|cm|centimeter|meter|mile|second|minute|hour|day|week|month|year|foot|feet|inch|yard)"
    r"(?:es)?s? *(?:\^[0-9]+)?"
)
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?:\D|$))")
_BRACED = r"\{((?:[^{}]|\{[^{}]*\})*)\}"
_FRACTION = re.compile(rf"\\frac *{_BRACED} *{_BRACED}")
_PLAIN_FRACTION = re.compile(r"-?\d+.?/0*[1-9]\d*.?")


class PublishedGrader:
    """Says whether two answers are the same, as the published evaluator does.

    Args:
        is_zero: whether a difference, written for sympy, simplifies to 0.
    """

    def __init__(self, is_zero: Callable[[str], bool]) -> None:
        self._is_zero = is_zero
        self._known: dict[tuple[str, str], bool] = {}

    def __call__(self, given: str, expected: str) -> bool:
        """Whether a given answer is the expected one; the order matters little: where brackets are compared."""
        if (given, expected) not in self._known:
            self._known[given, expected] = self._compare(given, expected)
        return self._known[given, expected]

    def _compare(self, given: str, expected: str) -> bool:
        if textbook_form(given) == textbook_form(expected):
            return True
        one, two = plain_form(given), plain_form(expected)
        if one == two:
            return True
        if not one or not two:
            return False
        mine, right = _elements(one), _elements(two)
        if len(mine) != len(right) or (len(right) > 1 and (one[0], one[-1]) != (two[0], two[-1])):
            return False
        return all(map(self._is_same_element, mine, right))

    def _is_same_element(self, given: str, expected: str) -> bool:
        if _PLAIN_FRACTION.fullmatch(given) and _PLAIN_FRACTION.fullmatch(expected):
            return given == expected  # a fraction that is not reduced is wrong
        if _is_whole(given) or _is_whole(expected):
            return given == expected  # 4/2 is not the whole number 2; two whole numbers are as they are written
        difference = f"({expected})-({given})"
        return _is_harmless(difference) and self._is_zero(difference.replace("^", "**"))


def textbook_form(answer: str) -> str:
    """The form of the MATH data set's own comparison: LaTeX in its simplest spelling, without units and space."""
    text = answer.strip()
    text = re.sub(r"^\\text\{(.+?)\}$", r"\1", text)
    for old, new in (
        ("\n", ""), (r"\!", ""), ("\\\\", "\\"), (r"\tfrac", r"\frac"), (r"\dfrac", r"\frac"), (r"\left", ""),
        (r"\right", ""), (r"^{\circ}", ""), (r"^\circ", ""), (r"\$", ""), (r"\%", ""), ("%", ""),
    ):  # fmt: skip
        text = text.replace(old, new)
    text = re.split(r"\\text\{ ", text)[0]  # what follows is a unit
    text = re.sub(r"(^|[ {])\.", r"\g<1>0.", text)
    before, _, after = text.partition("=")
    if after and "=" not in after and len(before.strip()) <= 2:
        text = after  # "x=3"
    text = re.sub(r"\\sqrt(\w)", r"\\sqrt{\1}", text).replace(" ", "")
    text = re.sub(r"\\frac(\d)(\d)", r"\\frac{\1}{\2}", text)
    text = re.sub(r"\\frac(\d)\{", r"\\frac{\1}{", text)
    if text == "0.5":
        return r"\frac{1}{2}"
    return re.sub(r"^(-?\d+)/(-?\d+)$", r"\\frac{\1}{\2}", text)


def plain_form(answer: str) -> str:
    """The form that sympy can read: no units, no LaTeX, no space, lower case."""
    text = re.sub(r"^\\text\{(.+?)\}$", r"\1", answer.strip())
    text = text.replace(r"\%", "").replace(r"\$", "").replace("$", "").replace("%", "")
    text = text.replace(" or ", " , ").replace(" and ", " , ")
    for word, zeros in (("million", 6), ("billion", 9), ("trillion", 12)):
        text = text.replace(word, f"*10^{zeros}")
    text = re.sub(_UNITS, "", text)
    text = re.sub(r"\^ *\\circ", "", text)
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1]
    text = _whole(re.sub(r",\\! *", "", text))
    if "\\" in text:
        text = _without_latex(text)
    text = re.sub(r"- *", "-", text)
    text = re.sub(r"(\d) +(\d)", r"\1+\2", text)  # 7 3/4
    text = re.sub(r"[ {}]", "", text).lower()
    return _whole(_THOUSANDS.sub("", text)) if _is_whole(text) else text


def _without_latex(text: str) -> str:
    text = text.replace(r"\tfrac", r"\frac").replace(r"\dfrac", r"\frac").replace(r"\frac", r" \frac")
    for _ in range(8):  # fractions in fractions
        text, count = _FRACTION.subn(r"\1/\2", text)
        if not count:
            break
    text = re.sub(rf"\\sqrt *{_BRACED}", r"sqrt(\1)", text)
    for old, new in ((r"\pi", "pi"), (r"\infty", "inf"), (r"\cup", "U"), (r"\cdot", "*"), (r"\times", "*")):
        text = text.replace(old, new)
    text = re.sub(r"\\text\{([^{}]*)\}", r"\1", text)
    return re.sub(r"\\(?:left|right|[a-zA-Z]+|.)", "", text).strip()


def _elements(text: str) -> list[str]:
    """The members of a tuple or an interval, or the text itself."""
    text = _THOUSANDS.sub("", text)
    inner = text[1:-1]
    if len(text) > 2 and text[0] in "([" and text[-1] in ")]" and not set(inner) & set("()[]"):
        return [each.strip() for each in inner.split(",")]
    return [text]


def _number(text: str) -> float | None:
    try:
        value = float(_THOUSANDS.sub("", text))
    except ValueError:
        return None
    return value if abs(value) < 1e15 else None


def _is_whole(text: str) -> bool:
    value = _number(text)
    return value is not None and abs(value - round(value)) <= 1e-7


def _whole(text: str) -> str:
    value = _number(text) if "," not in text else None
    return str(round(value)) if value is not None and _is_whole(text) else text


def _is_harmless(expression: str) -> bool:
    """Whether sympy may have it: at most two unknowns, no powers that may take for ever."""
    letters = {each for each in expression.replace("sqrt", "").replace("frac", "") if each.isalpha()}
    if len(letters) > 2 or "^{" in expression or "^(" in expression:
        return False
    return re.search(r"\^[0-9]+\^|\^[0-9][0-9]+", expression) is None
