"""What a question's answers come to: who says the same, and who is right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .equality import answer_classes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .candidates import Candidate
    from .equality import IsSame

__all__ = ["AnswerClass", "Tally", "tally"]


@dataclass(frozen=True, slots=True)
class AnswerClass:
    """Answers that mean the same.

    Attributes:
        answer: as it was stated first.
        is_right: whether it is the right one; None when that is not known.
        votes: samples that state it.
    """

    answer: str
    is_right: bool | None
    votes: int


@dataclass(frozen=True, slots=True)
class Tally:
    """All classes of a question's answers.

    Attributes:
        classes: in the order in which they were stated first.
        class_of: place in ``classes`` of each answer text.
    """

    classes: tuple[AnswerClass, ...]
    class_of: dict[str, int]


def tally(candidates: Sequence[Candidate], expected: str | None, is_same: IsSame) -> Tally:
    """Sort the answers of a question into classes.

    Args:
        candidates: the answers, in order of arrival.
        expected: the right one, or None when it is not known.
        is_same: whether two answers are the same.
    """
    found = answer_classes((candidate.answer for candidate in candidates), is_same)
    votes = [0] * len(found.names)
    for candidate in candidates:
        votes[found.class_of[candidate.answer]] += 1
    classes = tuple(
        AnswerClass(name, None if expected is None else is_same(name, expected), count)
        for name, count in zip(found.names, votes, strict=True)
    )
    return Tally(classes, found.class_of)
