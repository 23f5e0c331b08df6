"""Find answers in text, compare them, and let them vote."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["find_answer", "is_same_answer", "weighted_vote"]


def find_answer(pattern: str, new_text: str) -> str | None:
    """The answer that a step states.

    Args:
        pattern: the profile's pattern, with a group around the answer.
        new_text: the text of the step alone; a question that holds the pattern must not count.

    Returns:
        The last match's answer without surrounding space, or None.
    """
    answer = None
    for match in re.finditer(pattern, new_text):
        answer = next((group.strip() for group in match.groups() if group is not None), answer)
    return answer or None


def is_same_answer(one: str, two: str) -> bool:
    """Whether two answers are the same number, or the same words but for case and space.

    Args:
        one: an answer.
        two: another.
    """
    return _normal(one) == _normal(two)


def weighted_vote(votes: Iterable[tuple[str, float]]) -> str | None:
    """The answer with the most weight; the first stated among equals.

    Args:
        votes: answers and their weights, >= 0.

    Returns:
        The winner as it was stated first, or None without votes.
    """
    totals: dict[str | Decimal, float] = {}
    words: dict[str | Decimal, str] = {}
    for answer, weight in votes:
        key = _normal(answer)
        words.setdefault(key, answer)
        totals[key] = totals.get(key, 0.0) + weight
    return words[max(totals, key=lambda key: totals[key])] if totals else None


def _normal(answer: str) -> str | Decimal:
    words = " ".join(answer.split()).casefold().rstrip(".")
    try:
        number = Decimal(words.replace(",", "").replace("$", ""))
    except InvalidOperation:
        return words
    # Equal numbers are equal as they are; to normalise one rounds it, and fails at 1e1000000.
    return number if number.is_finite() else words
