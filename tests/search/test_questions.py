"""Files of questions."""

from __future__ import annotations

from pathlib import Path

import pytest

from ets_client import ConfigurationError
from ets_client.search import Question, load_questions

EXAMPLES = Path(__file__).parents[2] / "examples" / "questions.jsonl"


def test_the_example_file_holds_twenty_questions_with_answers() -> None:
    questions = load_questions(EXAMPLES)
    assert len(questions) == 20
    assert all(question.answer is not None and question.answer.isdigit() for question in questions)


def test_numbers_are_answers_and_empty_lines_are_skipped(tmp_path: Path) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text('{"problem": "1 + 1", "answer": 2, "level": 3}\n\n{"problem": "why"}\n')
    assert load_questions(file) == [Question(problem="1 + 1", answer="2"), Question(problem="why")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no question"),
        ('{"problem": "a"}\n{"question": "b"}\n', ":2: problem: Field required"),
        ("not json\n", ":1: the line: Invalid JSON"),
        ('{"problem": ""}\n', ":1: problem"),
    ],
)
def test_a_bad_file_is_refused_with_the_line(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match=message):
        load_questions(file)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        load_questions(tmp_path / "none.jsonl")
