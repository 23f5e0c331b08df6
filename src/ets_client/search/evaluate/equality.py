"""Whether two answers are the same: by their text where that settles it, else by math-verify."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from ..answers import is_same_answer

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["AnswerClasses", "IsSame", "answer_classes", "settled"]

IsSame: TypeAlias = Callable[[str, str], bool]

_DRESS = re.compile(r"\\(?:text|textbf|mathrm|mbox)\s*\{([^{}]*)\}")
_WORDS = re.compile(r"[^\W\d_]{2,}(?:[ '-][^\W\d_]+)*")
_WHOLE = re.compile(r"-?\d{1,15}")


def settled(one: str, two: str) -> bool | None:
    """Whether two answers are the same, as far as their text tells.

    Words are never read as mathematics: math-verify takes letters for factors, whose order does not matter, so that
    "east" would be "seat".

    Returns:
        None when it takes mathematics to know.
    """
    one, two = _plain(one), _plain(two)
    if is_same_answer(one, two):
        return True
    if not one or not two:
        return False
    if _WORDS.fullmatch(one) or _WORDS.fullmatch(two):
        return False
    return False if _WHOLE.fullmatch(one) and _WHOLE.fullmatch(two) else None


def _plain(answer: str) -> str:
    answer = answer.strip()
    if len(answer) > 1 and answer[0] == answer[-1] == "$":
        answer = answer[1:-1]
    return _DRESS.sub(r"\1", answer).strip().removesuffix(".")


@dataclass(frozen=True)
class AnswerClasses:
    """Answers that mean the same, together.

    Attributes:
        class_of: the class of each distinct answer text.
        names: of each class, the text that was stated first.
    """

    class_of: dict[str, int]
    names: tuple[str, ...]


def answer_classes(answers: Iterable[str], is_same: IsSame) -> AnswerClasses:
    """Put answers into classes: each into the first whose first member it equals.

    Args:
        answers: in order.
        is_same: whether two are the same; it is asked once for each distinct text and class.
    """
    class_of: dict[str, int] = {}
    names: list[str] = []
    for answer in answers:
        if answer in class_of:
            continue
        found = next((place for place, name in enumerate(names) if is_same(answer, name)), len(names))
        class_of[answer] = found
        if found == len(names):
            names.append(answer)
    return AnswerClasses(class_of, tuple(names))
