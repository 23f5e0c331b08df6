"""Questions with known answers, one JSON object a line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import ConfigurationError

if TYPE_CHECKING:
    import os

__all__ = ["Question", "load_questions"]


class Question(BaseModel):
    """One question.

    Attributes:
        problem: its text.
        answer: the right answer, or None when it is not known.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)

    problem: str = Field(min_length=1)
    answer: str | None = None


def load_questions(path: str | os.PathLike[str]) -> list[Question]:
    """Read a file of questions.

    Args:
        path: JSON lines with ``problem`` and ``answer``; empty lines are skipped.

    Raises:
        ConfigurationError: the file is missing, empty, or a line is not a question.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")  # U+2028 ends no line of JSON
    except OSError as error:
        raise ConfigurationError(f"cannot read the questions {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"the questions {path} are not UTF-8: save them so") from None
    questions: list[Question] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            questions.append(Question.model_validate_json(line))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the line"
            raise ConfigurationError(f'{path}:{number}: {where}: {first["msg"]}; a line is {{"problem": …}}') from None
    if not questions:
        raise ConfigurationError(f"{path} holds no question")
    return questions
